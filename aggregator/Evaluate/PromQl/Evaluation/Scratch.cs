using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>What evaluating needs beside its results, kept from query to query: thousands of rules each look at a handful of samples. One thread at a time.</summary>
internal sealed class Scratch
{
    private const int MaxKept = 1 << 17;
    private const int MaxKeptSummaries = 1 << 14;

    public SampleBuffer Buffer { get; } = new();

    public WindowColumns Windows { get; } = new();

    public ColumnFold Fold { get; } = new();

    public List<SlotSummary> Summaries { get; } = [];

    public List<long> Ordinals { get; } = [];

    public long[] Times { get; set; } = [];

    public double[] Floats { get; set; } = [];

    private EvalSeries _column = new(Labels.Empty, 0);

    /// <summary>A column of so many steps for one series after the other. Who uses it fills it.</summary>
    public EvalSeries Column(int steps)
    {
        if (_column.Values.Length != steps)
            _column = new EvalSeries(Labels.Empty, steps);
        return _column;
    }

    /// <summary>Empties it; false: it has grown too large to be kept.</summary>
    public bool TryForget()
    {
        Buffer.Clear();
        Summaries.Clear();
        Ordinals.Clear();
        return Buffer.Capacity <= MaxKept && Times.Length <= MaxKept && Ordinals.Capacity <= MaxKept && Summaries.Capacity <= MaxKeptSummaries && _column.Values.Length <= MaxKept && Windows.Capacity <= MaxKept && Fold.Capacity <= MaxKept;
    }
}

/// <summary>One scratch for whoever evaluates next; a second query at the same time makes its own. Thread-safe.</summary>
internal sealed class ScratchKeeper
{
    private Scratch? _spare;

    /// <summary>One for the caller alone, until it gives it back.</summary>
    public Scratch Rent() => Interlocked.Exchange(ref _spare, null) ?? new Scratch();

    /// <summary>Takes one back.</summary>
    public void Return(Scratch scratch)
    {
        if (scratch.TryForget())
            Volatile.Write(ref _spare, scratch);
    }
}
