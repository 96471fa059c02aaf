using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>A growing, sorted list of series numbers.</summary>
internal sealed class PostingList
{
    private uint[] _items;

    public PostingList() => _items = new uint[1];

    /// <summary>Takes an array of sorted numbers.</summary>
    public PostingList(uint[] items) => (_items, Count) = (items, items.Length);

    public int Count { get; private set; }

    public ReadOnlySpan<uint> Items => _items.AsSpan(0, Count);

    /// <summary>The numbers as they are now: additions do not change them, removals do.</summary>
    public ReadOnlyMemory<uint> Taken => _items.AsMemory(0, Count);

    /// <summary>Adds a number that is larger than all before.</summary>
    public void Add(uint item)
    {
        if (Count == _items.Length)
            Array.Resize(ref _items, Math.Max(1, Count * 2));
        _items[Count++] = item;
    }

    /// <summary>The place of the first number that is not smaller.</summary>
    public int FirstFrom(uint item)
    {
        int at = Items.BinarySearch(item);
        return at < 0 ? ~at : at;
    }

    /// <summary>Removes the numbers of a set.</summary>
    public void Remove(HashSet<uint> gone)
    {
        int kept = 0;
        for (int i = 0; i < Count; i++)
        {
            if (!gone.Contains(_items[i]))
                _items[kept++] = _items[i];
        }
        Count = kept;
    }
}

/// <summary>Which series of the head have a label, by name and value. Same locking as the head.</summary>
internal sealed class Postings
{
    private const int ShortCount = 512;
    private static readonly PostingList s_none = new();
    private readonly Dictionary<string, Dictionary<string, PostingList>> _names = [];

    /// <summary>Values by label name, as they are.</summary>
    public IReadOnlyDictionary<string, Dictionary<string, PostingList>> Names => _names;

    public void Add(Labels labels, uint reference)
    {
        foreach (ref readonly Label label in labels.AsSpan())
        {
            ref Dictionary<string, PostingList>? values = ref CollectionsMarshal.GetValueRefOrAddDefault(_names, label.Name, out _);
            values ??= [];
            ref PostingList? list = ref CollectionsMarshal.GetValueRefOrAddDefault(values, label.Value, out _);
            list ??= new PostingList();
            list.Add(reference);
        }
    }

    /// <summary>Adds a whole list, of a label that has none.</summary>
    public void Restore(string name, string value, uint[] sorted)
    {
        ref Dictionary<string, PostingList>? values = ref CollectionsMarshal.GetValueRefOrAddDefault(_names, name, out _);
        values ??= [];
        values[value] = new PostingList(sorted);
    }

    public void Clear() => _names.Clear();

    /// <summary>How many series have a label.</summary>
    public int Count(string name, string value) =>
        _names.TryGetValue(name, out Dictionary<string, PostingList>? values) && values.TryGetValue(value, out PostingList? list) ? list.Count : 0;

    /// <summary>Removes series that are gone.</summary>
    public void Remove(IReadOnlyCollection<HeadSeries> series)
    {
        var gone = new HashSet<uint>();
        var touched = new HashSet<(string, string)>();
        foreach (HeadSeries s in series)
        {
            gone.Add(s.Reference);
            foreach (ref readonly Label label in s.Labels.AsSpan())
                touched.Add((label.Name, label.Value));
        }
        foreach ((string name, string value) in touched)
        {
            Dictionary<string, PostingList> values = _names[name];
            PostingList list = values[value];
            list.Remove(gone);
            if (list.Count == 0)
                values.Remove(value);
            if (values.Count == 0)
                _names.Remove(name);
        }
    }

    /// <summary>
    /// The shortest list that one of the matchers by equality stands for, when it is so short that looking at each of its series costs less than intersecting lists; null: there is none.
    /// All matchers must still be checked on the labels.
    /// </summary>
    public PostingList? ShortestOf(IReadOnlyList<LabelMatcher> matchers)
    {
        PostingList? shortest = null;
        for (int i = 0; i < matchers.Count; i++)
        {
            LabelMatcher matcher = matchers[i];
            if (matcher.Type != Core.Model.MatchType.Equal || matcher.Value.Length == 0)
                continue;
            PostingList list = _names.TryGetValue(matcher.Name, out Dictionary<string, PostingList>? values) && values.TryGetValue(matcher.Value, out PostingList? one) ? one : s_none;
            if (shortest is null || list.Count < shortest.Count)
                shortest = list;
        }
        return shortest?.Count <= ShortCount ? shortest : null;
    }

    /// <summary>
    /// Series that fit the matchers which can be answered by label values; null: none of them can, so all series are candidates. Sorted. The rest of the
    /// matchers must still be checked on the labels (<see cref="NeedsCheck"/>).
    /// </summary>
    public uint[]? Candidates(IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        uint[]? result = null;
        foreach (LabelMatcher matcher in matchers)
        {
            if (NeedsCheck(matcher))
                continue;
            cancellation.ThrowIfCancellationRequested();
            uint[] these = Matching(matcher, cancellation);
            result = result is null ? these : Intersect(result, these);
            if (result.Length == 0)
                return result;
        }
        return result;
    }

    /// <summary>Whether a matcher also fits series without the label: those have no posting.</summary>
    public static bool NeedsCheck(LabelMatcher matcher) => matcher.MatchesEmpty || matcher.Type is Core.Model.MatchType.NotEqual or Core.Model.MatchType.NotRegex;

    private uint[] Matching(LabelMatcher matcher, CancellationToken cancellation)
    {
        if (!_names.TryGetValue(matcher.Name, out Dictionary<string, PostingList>? values))
            return [];
        if (matcher.Type == Core.Model.MatchType.Equal)
            return values.TryGetValue(matcher.Value, out PostingList? one) ? one.Items.ToArray() : [];
        var lists = new List<PostingList>();
        if (matcher.LiteralAlternatives is { } literals)
        {
            foreach (string literal in literals.Distinct())
            {
                if (values.TryGetValue(literal, out PostingList? list))
                    lists.Add(list);
            }
            return Union(lists);
        }
        int seen = 0;
        foreach ((string value, PostingList list) in values)
        {
            if (++seen % 1000 == 0)
                cancellation.ThrowIfCancellationRequested();
            if (matcher.Matches(value))
                lists.Add(list);
        }
        return Union(lists);
    }

    private static uint[] Union(List<PostingList> lists)
    {
        if (lists.Count == 1)
            return lists[0].Items.ToArray();
        // The values of one label are disjoint: no number comes twice.
        var all = new uint[lists.Sum(l => l.Count)];
        int at = 0;
        foreach (PostingList list in lists)
        {
            list.Items.CopyTo(all.AsSpan(at));
            at += list.Count;
        }
        Array.Sort(all);
        return all;
    }

    /// <summary>What is in both sorted lists.</summary>
    public static uint[] Intersect(ReadOnlySpan<uint> a, ReadOnlySpan<uint> b)
    {
        var both = new uint[Math.Min(a.Length, b.Length)];
        int i = 0, j = 0, n = 0;
        while (i < a.Length && j < b.Length)
        {
            if (a[i] == b[j])
            {
                both[n++] = a[i];
                i++;
                j++;
            }
            else if (a[i] < b[j])
            {
                i++;
            }
            else
            {
                j++;
            }
        }
        Array.Resize(ref both, n);
        return both;
    }
}
