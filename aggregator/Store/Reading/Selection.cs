using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Reading;

/// <summary>The series that some matchers select, whatever the time, as far as the files have been looked through. Immutable, thread-safe.</summary>
internal sealed class Selection
{
    private readonly BlockFile[] _files;
    private readonly bool[] _isResolved;
    private readonly bool _isWhole;

    private Selection(BlockFile[] files, bool[] isResolved, SelectedSeries[] series, int nextReference, long removals)
    {
        _files = files;
        _isResolved = isResolved;
        Series = series;
        NextReference = nextReference;
        Removals = removals;
        long bytes = 0;
        foreach (SelectedSeries s in series)
            bytes += s.Bytes;
        Bytes = bytes;
        _isWhole = !isResolved.AsSpan().Contains(false);
    }

    // The same for a head that has grown by other series.
    private Selection(Selection same, int nextReference)
    {
        (_files, _isResolved, _isWhole) = (same._files, same._isResolved, same._isWhole);
        (Series, Bytes, Removals) = (same.Series, same.Bytes, same.Removals);
        NextReference = nextReference;
    }

    /// <summary>Sorted by labels.</summary>
    public SelectedSeries[] Series { get; }

    /// <summary>Series of the head with a smaller number are in it.</summary>
    public int NextReference { get; }

    /// <summary>How often series had been removed from the head when it was made.</summary>
    public long Removals { get; }

    /// <summary>Its size in memory, about.</summary>
    public long Bytes { get; }

    public static Selection Empty { get; } = new([], [], [], 0, -1);

    /// <summary>Whether it holds for these files, this head and this range as it is.</summary>
    public bool Covers(BlockFile[] files, long fromMs, long toMs, int nextReference, long removals)
    {
        return NextReference == nextReference && Removals == removals && CoversFiles(files, fromMs, toMs);
    }

    private bool CoversFiles(BlockFile[] files, long fromMs, long toMs)
    {
        if (!ReferenceEquals(files, _files))
            return false;
        for (int f = 0; !_isWhole && f < files.Length; f++)
        {
            if (!_isResolved[f] && Overlaps(files[f], fromMs, toMs))
                return false;
        }
        return true;
    }

    /// <summary>This selection brought up to date: other files, series that came to the head (all of them where some were removed), files of the range looked through.</summary>
    public Selection With(BlockFile[] files, BlockSet blocks, List<HeadSeries> head, bool isWholeHead, int nextReference, long removals, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        if (head.Count == 0 && !isWholeHead && Removals == removals && CoversFiles(files, fromMs, toMs))
            return new Selection(this, nextReference);
        var kept = new Dictionary<BlockFile, int>(_files.Length);
        for (int f = 0; f < _files.Length; f++)
        {
            if (_isResolved[f])
                kept.Add(_files[f], f);
        }
        var resolved = new bool[files.Length];
        bool sameFiles = true;
        int stillThere = 0;
        for (int f = 0; f < files.Length; f++)
        {
            resolved[f] = kept.ContainsKey(files[f]);
            stillThere += resolved[f] ? 1 : 0;
        }
        sameFiles = stillThere == kept.Count;
        var drafts = new Dictionary<Labels, Draft>(Series.Length + head.Count);
        HashSet<BlockFile>? present = sameFiles ? null : [.. files];
        foreach (SelectedSeries s in Series)
            drafts.Add(s.Labels, new Draft { Before = s, Head = isWholeHead ? null : s.Head, IsChanged = isWholeHead || (present is not null && Array.Exists(s.Chunks, c => !c.IsIn(present))) });
        foreach (HeadSeries s in head)
        {
            Draft draft = DraftOf(drafts, s.Labels);
            draft.IsChanged |= draft.Before?.Head != s;
            draft.Head = s;
        }
        Resolve(files, resolved, blocks, drafts, fromMs, toMs, matchers, cancellation);
        return Build(files, resolved, drafts, present, nextReference, removals);
    }

    private static void Resolve(BlockFile[] files, bool[] resolved, BlockSet blocks, Dictionary<Labels, Draft> drafts, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var found = new List<int>();
        for (int f = 0; f < files.Length; f++)
        {
            BlockFile file = files[f];
            if (resolved[f] || !Overlaps(file, fromMs, toMs))
                continue;
            cancellation.ThrowIfCancellationRequested();
            if (blocks.TryIndex(file) is not { } index)
                continue;
            found.Clear();
            index.Select(long.MinValue, long.MaxValue, matchers, found, cancellation);
            foreach (int series in found)
            {
                ref readonly BlockEntry entry = ref index[series];
                Draft draft = DraftOf(drafts, entry.Labels);
                draft.IsChanged = true;
                (draft.Added ??= []).Add(new ChunkPlace(file, series, entry.MinMs, entry.MaxMs, ChunkPlace.None));
            }
            resolved[f] = true;
        }
    }

    private static Selection Build(BlockFile[] files, bool[] resolved, Dictionary<Labels, Draft> drafts, HashSet<BlockFile>? present, int nextReference, long removals)
    {
        var series = new List<SelectedSeries>(drafts.Count);
        foreach ((Labels labels, Draft draft) in drafts)
        {
            if (!draft.IsChanged)
            {
                series.Add(draft.Before!);
                continue;
            }
            List<ChunkPlace> chunks = draft.Before is { } before ? [.. before.AllChunks.Where(c => present is null || present.Contains(c.File))] : [];
            if (draft.Added is not null)
                chunks.AddRange(draft.Added);
            if (chunks.Count > 0 || draft.Head is not null)
                series.Add(SelectedSeries.Make(draft.Before?.Labels ?? draft.Head?.Labels ?? labels, draft.Head, chunks, draft.Before));
        }
        series.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        return new Selection(files, resolved, [.. series], nextReference, removals);
    }

    private static Draft DraftOf(Dictionary<Labels, Draft> drafts, Labels labels)
    {
        ref Draft? draft = ref CollectionsMarshal.GetValueRefOrAddDefault(drafts, labels, out _);
        return draft ??= new Draft();
    }

    private static bool Overlaps(BlockFile file, long fromMs, long toMs) => file.Footer.MinMs <= toMs && file.Footer.MaxMs >= fromMs;

    private sealed class Draft
    {
        public SelectedSeries? Before { get; init; }

        public HeadSeries? Head { get; set; }

        public List<ChunkPlace>? Added { get; set; }

        public bool IsChanged { get; set; }
    }
}
