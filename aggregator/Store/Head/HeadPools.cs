using Bellwether.Store.Chunks;

namespace Bellwether.Store.Head;

/// <summary>What the writer reuses over all series: value arrays by size, columns that begin at a time, scratch. Used under the head's write lock only.</summary>
internal sealed class HeadPools
{
    private const int MaxColumnStarts = 4096;
    private const int MaxFree = 4096;
    private readonly Dictionary<long, TimeColumn> _starts = [];
    private readonly Stack<double[]>[] _free = [new(), new(), new(), new(), new()];
    private readonly ByteWriter _scratch = new(1024);

    /// <summary>Samples that lie in late (out-of-order) overlays over all series.</summary>
    public int LateSamples { get; set; }

    public ByteWriter Scratch => _scratch;

    public long[] Times { get; } = new long[TimeColumn.MaxCount];

    public double[] Values { get; } = new double[TimeColumn.MaxCount];

    /// <summary>A column that begins at a time; the one that others began there, if it is known.</summary>
    public TimeColumn ColumnFrom(long timeMs)
    {
        if (_starts.TryGetValue(timeMs, out TimeColumn? column))
            return column;
        if (_starts.Count >= MaxColumnStarts)
            _starts.Clear();
        column = new TimeColumn(timeMs);
        _starts.Add(timeMs, column);
        return column;
    }

    /// <summary>Forgets the beginnings: later blocks begin columns of their own.</summary>
    public void ForgetColumns() => _starts.Clear();

    /// <summary>An array of at least <paramref name="count"/> values, up to <see cref="TimeColumn.MaxCount"/>; its content is arbitrary.</summary>
    public double[] Rent(int count)
    {
        int index = IndexOf(count);
        return _free[index].TryPop(out double[]? array) ? array : new double[8 << index];
    }

    public void Return(double[] array)
    {
        Stack<double[]> stack = _free[IndexOf(array.Length)];
        if (stack.Count < MaxFree)
            stack.Push(array);
    }

    private static int IndexOf(int count) => count <= 8 ? 0 : 29 - System.Numerics.BitOperations.LeadingZeroCount((uint)(count - 1));
}
