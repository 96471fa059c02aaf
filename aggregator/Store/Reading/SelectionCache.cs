using System.Text;
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
    private const int MaxCount = 4096;
    private readonly HeadIndex _index;
    private readonly BlockSet _blocks;
    private readonly long _maxBytes;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _entries = [];
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
        string key = KeyOf(matchers);
        Selection known = Known(key);
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
            Keep(key, selection);
            return selection;
        }
        catch
        {
            files.Drop();
            throw;
        }
    }

    private static string KeyOf(IReadOnlyList<LabelMatcher> matchers)
    {
        var key = new StringBuilder();
        foreach (LabelMatcher matcher in matchers)
            key.Append((char)('0' + (int)matcher.Type)).Append(matcher.Name.Length).Append(' ').Append(matcher.Name).Append(matcher.Value.Length).Append(' ').Append(matcher.Value);
        return key.ToString();
    }

    private Selection Known(string key)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(key, out Entry? entry))
                return Selection.Empty;
            entry.LastUse = ++_uses;
            return entry.Selection;
        }
    }

    private void Keep(string key, Selection selection)
    {
        lock (_gate)
        {
            if (_entries.Remove(key, out Entry? before))
                _bytes -= before.Selection.Bytes;
            if (selection.Bytes > _maxBytes / 4)
                return;
            _entries.Add(key, new Entry(selection) { LastUse = ++_uses });
            _bytes += selection.Bytes;
            if (_bytes > _maxBytes || _entries.Count > MaxCount)
                LetGo();
        }
    }

    // Down to three quarters, so that this is done seldom.
    private void LetGo()
    {
        foreach ((string key, Entry entry) in _entries.OrderBy(e => e.Value.LastUse).ToList())
        {
            if (_bytes <= _maxBytes / 4 * 3 && _entries.Count <= MaxCount / 4 * 3)
                return;
            _entries.Remove(key);
            _bytes -= entry.Selection.Bytes;
        }
    }

    private sealed class Entry(Selection selection)
    {
        public Selection Selection { get; } = selection;

        public long LastUse { get; set; }
    }
}
