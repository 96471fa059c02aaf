using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Reading;

/// <summary>One chunk of a series: its file, its number there, and its times; or several that overlap or share a slot, which are read as one.</summary>
/// <param name="File">Where it stands; of several the first.</param>
/// <param name="SlotMs">The slot that holds all of it; <see cref="None"/>: it reaches over one.</param>
internal readonly record struct ChunkPlace(BlockFile File, int Series, long MinMs, long MaxMs, long SlotMs)
{
    public const long None = long.MaxValue;

    public bool HasSlot => SlotMs != None;

    /// <summary>The chunks that overlap or share a slot, by oldest time; null: it is one.</summary>
    public ChunkPlace[]? Parts { get; init; }

    /// <summary>Whether it stands in some files, all of it.</summary>
    public bool IsIn(HashSet<BlockFile> files) => Parts is null ? files.Contains(File) : Array.TrueForAll(Parts, p => files.Contains(p.File));

    /// <summary>Whether a chunk of it has samples in a range, by its first and last time.</summary>
    public bool Overlaps(long fromMs, long toMs) => MinMs <= toMs && MaxMs >= fromMs && (Parts is null || Array.Exists(Parts, p => p.MinMs <= toMs && p.MaxMs >= fromMs));

    /// <summary>Whether it is the same chunk, or the same chunks.</summary>
    public bool IsSame(in ChunkPlace other) =>
        File == other.File && Series == other.Series && (Parts is null ? other.Parts is null : other.Parts is { } parts && Parts.AsSpan().SequenceEqual(parts));
}

/// <summary>A series of a selection with its chunks by time. Immutable but for its summaries, which are read when they are asked for first; thread-safe.</summary>
internal sealed class SelectedSeries
{
    private const byte Unknown = 0, Known = 1, Unfit = 2;

    /// <summary>For less than this share of the chunks, the totals of all are not made.</summary>
    private const int LeastShareOfTotals = 8;

    // What a chunk takes with its summary and its place in the totals, and a part of a joint one, about.
    private const int OwnBytes = 240, BytesPerChunk = 160, BytesPerPart = 56;

    private Summaries? _summaries;
    private Totals? _totals;

    private SelectedSeries(Labels labels, HeadSeries? head, ChunkPlace[] chunks)
    {
        Labels = labels;
        Head = head;
        Chunks = chunks;
        Bytes = OwnBytes + ((long)BytesPerChunk * chunks.Length);
        foreach (ref readonly ChunkPlace chunk in chunks.AsSpan())
            Bytes += (long)BytesPerPart * (chunk.Parts?.Length ?? 0);
    }

    public Labels Labels { get; }

    public HeadSeries? Head { get; }

    /// <summary>By time: none overlaps another one or shares a slot with it.</summary>
    public ChunkPlace[] Chunks { get; }

    /// <summary>Its size in memory, about.</summary>
    public long Bytes { get; }

    /// <summary>All chunks for themselves, by oldest time.</summary>
    public IEnumerable<ChunkPlace> AllChunks => Chunks.SelectMany(static c => c.Parts ?? [c]);

    /// <summary>Makes a series from chunks in any order; summaries that another one of the same labels knows are taken over.</summary>
    public static SelectedSeries Make(Labels labels, HeadSeries? head, List<ChunkPlace> chunks, SelectedSeries? before)
    {
        chunks.Sort(static (a, b) => a.MinMs != b.MinMs ? a.MinMs.CompareTo(b.MinMs) : a.MaxMs.CompareTo(b.MaxMs));
        var places = new List<ChunkPlace>(chunks.Count);
        for (int from = 0, to; from < chunks.Count; from = to)
        {
            ChunkPlace first = chunks[from];
            long newest = first.MaxMs;
            for (to = from + 1; to < chunks.Count && TimeSlot.StartOf(chunks[to].MinMs) <= TimeSlot.StartOf(newest); to++)
                newest = Math.Max(newest, chunks[to].MaxMs);
            long slot = TimeSlot.StartOf(first.MinMs);
            places.Add(first with { MaxMs = newest, SlotMs = newest < slot + TimeSlot.LengthMs ? slot : ChunkPlace.None, Parts = to - from > 1 ? [.. CollectionsMarshal.AsSpan(chunks)[from..to]] : null });
        }
        var series = new SelectedSeries(labels, head, [.. places]);
        if (before is not null)
            series.TakeSummaries(before);
        return series;
    }

    /// <summary>The first chunk that ends at a time or after it.</summary>
    public int FirstAfter(long timeMs)
    {
        int low = 0, high = Chunks.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Chunks[middle].MaxMs < timeMs)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// <summary>The first chunk that begins at a time or after it.</summary>
    public int FirstFrom(long timeMs)
    {
        int low = 0, high = Chunks.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Chunks[middle].MinMs < timeMs)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    /// <summary>The last chunk, from one on and before another, that has begun at a time; the first of them when none has.</summary>
    public int LastBegun(int from, int to, long timeMs)
    {
        // Mostly this one or the next.
        int at = from;
        for (int i = 0; i < 3; i++)
        {
            if (at + 1 >= to || Chunks[at + 1].MinMs > timeMs)
                return at;
            at++;
        }
        int high = to;
        while (at + 1 < high)
        {
            int middle = (at + high) / 2;
            if (Chunks[middle].MinMs <= timeMs)
                at = middle;
            else
                high = middle;
        }
        return at;
    }

    /// <summary>Whether a chunk has samples in a range, by its first and last time.</summary>
    public bool HasChunks(long fromMs, long toMs)
    {
        for (int i = FirstAfter(fromMs); i < Chunks.Length && Chunks[i].MinMs <= toMs; i++)
        {
            if (Chunks[i].Overlaps(fromMs, toMs))
                return true;
        }
        return false;
    }

    /// <summary>
    /// Adds the summaries of the chunks from one on, as many as follow each other in slots that end by a time and that no window cuts, and have an exact summary.
    /// Returns the first chunk that has none of it.
    /// </summary>
    public int AddSummaries(int from, long toMs, long endMs, in WindowCuts cuts, BlockSet blocks, ReadScratch scratch, List<SlotSummary> into)
    {
        ReadOnlySpan<ChunkPlace> chunks = Chunks;
        int to = from;
        for (; to < chunks.Length; to++)
        {
            ref readonly ChunkPlace chunk = ref chunks[to];
            // None is beyond every end.
            if (chunk.SlotMs >= endMs - TimeSlot.LengthMs + 1 || chunk.MinMs > toMs || cuts.Cut(chunk.SlotMs) || !HasSummary(to, blocks, scratch))
                break;
        }
        if (to > from)
            into.AddRange(_summaries!.Values.AsSpan(from, to - from));
        return to;
    }

    /// <summary>
    /// The samples before each chunk, counted from the first chunk on, when the chunks from one to before another stand in a slot each, have exact summaries, and no value in them is
    /// below the one before it; else null. Null also where the summaries of all chunks would be read for few of them.
    /// </summary>
    public long[]? CountsWithoutReset(int from, int to, BlockSet blocks, ReadScratch scratch)
    {
        if (Volatile.Read(ref _totals) is not { } totals)
        {
            if (to - from < Chunks.Length / LeastShareOfTotals)
                return null;
            totals = MakeTotals(blocks, scratch);
        }
        return totals.Breaks[to] == totals.Breaks[from] ? totals.Counts : null;
    }

    /// <summary>The summary of a chunk that <see cref="CountsWithoutReset"/> has counted.</summary>
    public ref readonly SlotSummary SummaryOf(int chunk) => ref _summaries!.Values[chunk];

    private Totals MakeTotals(BlockSet blocks, ReadScratch scratch)
    {
        var totals = new Totals(Chunks.Length);
        double previous = double.NaN;
        for (int i = 0; i < Chunks.Length; i++)
        {
            bool fits = Chunks[i].HasSlot && HasSummary(i, blocks, scratch);
            ref readonly SlotSummary summary = ref (_summaries ?? MakeSummaries()).Values[i];
            totals.Counts[i + 1] = totals.Counts[i] + (fits ? summary.Count : 0);
            totals.Breaks[i + 1] = totals.Breaks[i] + (fits && summary.Resets == 0 && !(summary.First < previous) ? 0 : 1);
            previous = fits ? summary.Last : double.NaN;
        }
        Volatile.Write(ref _totals, totals);
        return totals;
    }

    private bool HasSummary(int chunk, BlockSet blocks, ReadScratch scratch)
    {
        Summaries summaries = Volatile.Read(ref _summaries) ?? MakeSummaries();
        byte state = Volatile.Read(ref summaries.States[chunk]);
        if (state == Unknown)
        {
            // Two threads may do this at once: each writes the whole of it, over the same, before it says that it is known.
            state = Unfit;
            if (TryReadSummary(Chunks[chunk], blocks, scratch, out SlotSummary read))
            {
                summaries.Values[chunk] = read;
                state = Known;
            }
            Volatile.Write(ref summaries.States[chunk], state);
        }
        return state == Known;
    }

    private static bool TryReadSummary(in ChunkPlace place, BlockSet blocks, ReadScratch scratch, out SlotSummary summary)
    {
        summary = default;
        if (place.Parts is { } parts)
            return place.HasSlot && scratch.TryReadJoint(parts, blocks) is { } joint && SlotSummary.TryMake(joint.Times, joint.Values, out summary);
        return blocks.TryIndex(place.File) is { } index && place.File.TryReadSummary(index[place.Series], scratch.Chunks, out summary);
    }

    // Only long windows ask for them: most selections never do.
    private Summaries MakeSummaries()
    {
        var made = new Summaries(Chunks.Length);
        return Interlocked.CompareExchange(ref _summaries, made, null) ?? made;
    }

    private void TakeSummaries(SelectedSeries before)
    {
        if (Volatile.Read(ref before._summaries) is not { } known)
            return;
        Summaries summaries = MakeSummaries();
        int from = 0;
        for (int i = 0; i < Chunks.Length; i++)
        {
            while (from < before.Chunks.Length && before.Chunks[from].MinMs < Chunks[i].MinMs)
                from++;
            if (from == before.Chunks.Length)
                return;
            if (!before.Chunks[from].IsSame(Chunks[i]))
                continue;
            summaries.States[i] = Volatile.Read(ref known.States[from]);
            summaries.Values[i] = known.Values[from];
        }
    }

    /// <summary>Per chunk its summary, and whether it is known.</summary>
    private sealed class Summaries(int chunks)
    {
        public SlotSummary[] Values { get; } = new SlotSummary[chunks];

        public byte[] States { get; } = new byte[chunks];
    }

    /// <summary>Up to each chunk: samples, and chunks that break the ascent or whose summary does not serve.</summary>
    private sealed class Totals(int chunks)
    {
        public long[] Counts { get; } = new long[chunks + 1];

        public int[] Breaks { get; } = new int[chunks + 1];
    }
}
