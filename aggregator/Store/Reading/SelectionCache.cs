using Bellwether.Core.Model;
using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Reading;

/// <summary>
/// Keeps what matchers select, so that rules and dashboards, which ask the same again and again, look through new files and new series only. The longest unused
/// selections go when they take more than the limit; one that takes more than a quarter of it is not kept. Thread-safe.
/// </summary>
internal sealed class SelectionCache
{
    // Each rule of thousands of objectives selects something else; what all of them take is limited in bytes.
    private const int MaxCount = 1 << 17;
    private readonly HeadIndex _index;
    private readonly BlockSet _blocks;
    private readonly long _maxBytes;
    private readonly Lock _gate = new();
    private readonly Dictionary<IReadOnlyList<LabelMatcher>, Entry> _entries = new(MatcherLists.Instance);
    private long _bytes;
    private long _uses;

    public SelectionCache(HeadIndex index, BlockSet blocks, long maxBytes)
    {
        _index = index;
        _blocks = blocks;
        _maxBytes = maxBytes;
    }

    /// <summary>Bytes that the kept selections take, about.</summary>
    public long Bytes
    {
        get
        {
            lock (_gate)
                return _bytes;
        }
    }

    /// <summary>The selection of the matchers, good for a range, and the files that it stands on, leased: the caller drops them.</summary>
    public Selection Get(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, out BlockList files, CancellationToken cancellation)
    {
        Selection known = Known(matchers);
        var head = new List<HeadSeries>();
        int nextReference;
        long removals;
        bool isWhole;
        BlockList? leased = null;
        _index.Gate.EnterReadLock();
        try
        {
            files = leased = _blocks.Lease();
            nextReference = _index.NextReference;
            removals = _index.Removals;
            if (known.Covers(files.Files, fromMs, toMs, nextReference, removals))
                return known;
            isWhole = known.Removals != removals;
            if (isWhole || known.NextReference < nextReference)
                _index.MatchLocked(matchers, isWhole ? 0 : known.NextReference, head, cancellation);
        }
        catch
        {
            leased?.Drop();
            throw;
        }
        finally
        {
            _index.Gate.ExitReadLock();
        }
        try
        {
            Selection selection = known.With(files.Files, _blocks, head, isWhole, nextReference, removals, fromMs, toMs, matchers, cancellation);
            Keep(matchers, selection);
            return selection;
        }
        catch
        {
            files.Drop();
            throw;
        }
    }

    private Selection Known(IReadOnlyList<LabelMatcher> matchers)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(matchers, out Entry? entry))
                return Selection.Empty;
            entry.LastUse = ++_uses;
            return entry.Selection;
        }
    }

    private void Keep(IReadOnlyList<LabelMatcher> matchers, Selection selection)
    {
        lock (_gate)
        {
            if (_entries.Remove(matchers, out Entry? before))
                _bytes -= before.Bytes;
            if (selection.Bytes > _maxBytes / 4)
                return;
            // A copy: the list is the caller's.
            LabelMatcher[] key = before?.Matchers ?? [.. matchers];
            var entry = new Entry(key, selection) { LastUse = ++_uses };
            _entries.Add(key, entry);
            _bytes += entry.Bytes;
            if (_bytes > _maxBytes || _entries.Count > MaxCount)
                LetGo();
        }
    }

    // Down to three quarters, so that this is done seldom.
    private void LetGo()
    {
        foreach ((IReadOnlyList<LabelMatcher> key, Entry entry) in _entries.OrderBy(e => e.Value.LastUse).ToList())
        {
            if (_bytes <= _maxBytes / 4 * 3 && _entries.Count <= MaxCount / 4 * 3)
                return;
            _entries.Remove(key);
            _bytes -= entry.Bytes;
        }
    }

    /// <summary>Compares what matchers say. A rule asks with the same list each time, which is seen at once.</summary>
    private sealed class MatcherLists : IEqualityComparer<IReadOnlyList<LabelMatcher>>
    {
        public static MatcherLists Instance { get; } = new();

        public bool Equals(IReadOnlyList<LabelMatcher>? x, IReadOnlyList<LabelMatcher>? y)
        {
            if (ReferenceEquals(x, y))
                return true;
            if (x is null || y is null || x.Count != y.Count)
                return false;
            for (int i = 0; i < x.Count; i++)
            {
                if (!x[i].Equals(y[i]))
                    return false;
            }
            return true;
        }

        public int GetHashCode(IReadOnlyList<LabelMatcher> obj)
        {
            var hash = new HashCode();
            for (int i = 0; i < obj.Count; i++)
                hash.Add(obj[i].GetHashCode());
            return hash.ToHashCode();
        }
    }

    private sealed class Entry(LabelMatcher[] matchers, Selection selection)
    {
        // What an entry takes beside its series: itself, its list and its place in the table.
        private const int OwnBytes = 250;

        // A matcher, and what a regular expression has beside its text: its shape, its set of literals or its engine, about.
        private const int MatcherBytes = 100;
        private const int PatternBytes = 2_000;
        private const int BytesPerPatternChar = 6;

        public LabelMatcher[] Matchers { get; } = matchers;

        public long Bytes { get; } = selection.Bytes + OwnBytes + matchers.Sum(static m =>
            MatcherBytes + (2L * (m.Name.Length + m.Value.Length)) + (m.Type is Core.Model.MatchType.Regex or Core.Model.MatchType.NotRegex ? PatternBytes + ((long)BytesPerPatternChar * m.Value.Length) : 0));

        public Selection Selection { get; } = selection;

        public long LastUse { get; set; }
    }
}
