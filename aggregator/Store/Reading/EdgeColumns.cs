using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Store.Reading;

/// <summary>A chunk that has samples at edges: which of the columns they are, where it stands, and when the chunk after it begins.</summary>
internal readonly record struct EdgeChunk(int Chunk, int From, int To, bool HasFirst, bool HasLast, long Before, long Count)
{
    public ChunkPlace Place { get; init; }

    public long NextMinMs { get; init; }
}

/// <summary>
/// The samples at the edges of windows as they are found. Those wanted of one chunk are read together. Where they were found is remembered for the next series. Reused; not thread-safe.
/// </summary>
internal sealed class EdgeColumns
{
    private const int First = -1, Last = -2;
    private readonly List<long> _times = [];
    private readonly List<double> _values = [];
    private readonly List<long> _ordinals = [];
    private readonly List<int> _places = [];
    private readonly List<int> _chunkOf = [];
    private readonly List<EdgeChunk> _chunks = [];
    private WindowCuts _cuts;
    private long[] _counts = [];
    private int _pending;
    private int _from;

    /// <summary>The chunk at hand.</summary>
    public int Chunk { get; set; }

    /// <summary>The chunk behind the last one.</summary>
    public int To { get; private set; }

    /// <summary>Places in the chunk at hand whose values are wanted: those of the samples that were added last.</summary>
    public ReadOnlySpan<int> Pending => CollectionsMarshal.AsSpan(_places)[^_pending..];

    /// <summary>Where their values go.</summary>
    public Span<double> PendingValues => CollectionsMarshal.AsSpan(_values)[^_pending..];

    /// <summary>The chunks that are remembered.</summary>
    public ReadOnlySpan<EdgeChunk> Chunks => CollectionsMarshal.AsSpan(_chunks);

    public int Capacity => _times.Capacity;

    /// <summary>Forgets where edges were found: the next selection is another one.</summary>
    public void Forget()
    {
        _chunks.Clear();
        _counts = [];
    }

    /// <summary>Whether what is remembered is of these chunks and windows.</summary>
    public bool IsOf(int from, int to, in WindowCuts cuts) => _chunks.Count > 0 && from == _from && to == To && cuts == _cuts;

    public void Begin(int from, int to, long[] counts, in WindowCuts cuts)
    {
        (Chunk, _from, To, _counts, _cuts) = (from, from, to, counts, cuts);
        _times.Clear();
        _values.Clear();
        _ordinals.Clear();
        _places.Clear();
        _chunkOf.Clear();
        _chunks.Clear();
        _pending = 0;
    }

    /// <summary>Adds the first sample of a chunk, which its summary has. Nothing may be wanted of a chunk before it.</summary>
    public void AddFirst(SelectedSeries series, int chunk)
    {
        ref readonly SlotSummary summary = ref series.SummaryOf(chunk);
        if (IsNew(_counts[chunk]))
            Put(summary.FirstMs, summary.First, chunk, First, _counts[chunk]);
    }

    /// <summary>Adds the last sample of a chunk.</summary>
    public void AddLast(SelectedSeries series, int chunk)
    {
        ref readonly SlotSummary summary = ref series.SummaryOf(chunk);
        long ordinal = _counts[chunk + 1] - 1;
        if (!IsNew(ordinal))
            return;
        // What is wanted of a chunk stands together.
        bool waits = _pending > 0;
        Put(summary.LastMs, summary.Last, chunk, waits ? (int)(ordinal - _counts[chunk]) : Last, ordinal);
        _pending += waits ? 1 : 0;
    }

    /// <summary>Adds a sample of the chunk at hand, whose value is to be read.</summary>
    public void AddPlace(ReadOnlySpan<long> times, int place)
    {
        if (!IsNew(_counts[Chunk] + place))
            return;
        Put(times[place], 0, Chunk, place, _counts[Chunk] + place);
        _pending++;
    }

    public void Filled() => _pending = 0;

    /// <summary>The samples from one on that are of one chunk.</summary>
    public bool NextChunk(ref int at, out EdgeChunk edge)
    {
        edge = default;
        if (at == _chunkOf.Count)
            return false;
        int from = at, chunk = _chunkOf[at];
        while (at < _chunkOf.Count && _chunkOf[at] == chunk)
            at++;
        edge = new EdgeChunk(chunk, from, at, _places[from] == First, _places[at - 1] == Last, _counts[chunk], _counts[chunk + 1] - _counts[chunk]);
        return true;
    }

    public void Remember(in EdgeChunk edge) => _chunks.Add(edge);

    public Span<double> ValuesOf(in EdgeChunk edge) => CollectionsMarshal.AsSpan(_values)[edge.From..edge.To];

    public ReadOnlySpan<int> PlacesOf(in EdgeChunk edge) => CollectionsMarshal.AsSpan(_places)[edge.From..edge.To];

    public void CopyTo(SampleBuffer samples, List<long> ordinals)
    {
        samples.Clear();
        samples.Extend(_times.Count, out Span<long> times, out Span<double> values);
        CollectionsMarshal.AsSpan(_times).CopyTo(times);
        CollectionsMarshal.AsSpan(_values).CopyTo(values);
        ordinals.Clear();
        ordinals.AddRange(_ordinals);
    }

    private bool IsNew(long ordinal) => _ordinals.Count == 0 || ordinal > _ordinals[^1];

    private void Put(long timeMs, double value, int chunk, int place, long ordinal)
    {
        _times.Add(timeMs);
        _values.Add(value);
        _chunkOf.Add(chunk);
        _places.Add(place);
        _ordinals.Add(ordinal);
    }
}
