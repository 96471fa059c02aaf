using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Evaluation;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// Results of range queries by query, step and phase, as one extent each: a dashboard that moves on evaluates only its new steps. An extent is cut back to what late data left
/// as it was (<see cref="IChangeLog"/>). The longest unused go beyond the limits. Thread-safe.
/// </summary>
internal sealed class RangeCache(long maxPoints)
{
    /// <summary>Results that are kept at most, however small they are.</summary>
    public const int MaxEntries = 10_000;

    // What an entry takes beside its points, as points: the objects, and the text of its query.
    private const int EntryPoints = 64, CharactersPerPoint = 8;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _entries = [];
    private long _points;
    private long _uses;

    /// <summary>A piece of a result: all its steps from one time to another, and the mark at which it was read.</summary>
    internal sealed record Extent(long FromMs, long ToMs, long Mark, IReadOnlyList<ResultSeries> Series)
    {
        public long Points { get; } = Series.Sum(s => s.Points.Count + SampleWeight.Of(s.Points) + 8);
    }

    /// <summary>Results that are kept, and what they take, in points.</summary>
    public (int Entries, long Points) Kept
    {
        get
        {
            lock (_gate)
                return (_entries.Count, _points);
        }
    }

    /// <summary>Name of what is kept: two queries of one name differ in their bounds only.</summary>
    public static string KeyOf(string query, long startMs, long stepMs) =>
        string.Create(CultureInfo.InvariantCulture, $"{stepMs} {((startMs % stepMs) + stepMs) % stepMs} {query}");

    /// <summary>What is known, cut back to the steps before the oldest change since; null: nothing.</summary>
    public Extent? Get(string key, long stepMs, IChangeLog changes)
    {
        Extent extent;
        lock (_gate)
        {
            if (!_entries.TryGetValue(key, out Entry? entry))
                return null;
            entry.LastUse = ++_uses;
            extent = entry.Extent;
        }
        // What is left is as it was at a mark of now: else each look would count the first change again.
        long mark = changes.TakeMark();
        long oldest = changes.OldestChangeSince(extent.Mark);
        extent = extent with { Mark = mark };
        if (oldest > extent.ToMs)
            return extent;
        if (oldest <= extent.FromMs)
            return null;
        // The last step before the change.
        long to = extent.FromMs + ((oldest - 1 - extent.FromMs) / stepMs * stepMs);
        return Cut(extent, extent.FromMs, to);
    }

    /// <summary>Keeps an extent in place of what was known.</summary>
    public void Keep(string key, Extent extent)
    {
        lock (_gate)
        {
            if (_entries.Remove(key, out Entry? before))
                _points -= before.Points;
            long points = EntryPoints + (key.Length / CharactersPerPoint) + extent.Points;
            if (points > maxPoints / 4)
                return;
            _entries.Add(key, new Entry(extent, points) { LastUse = ++_uses });
            _points += points;
            if (_points <= maxPoints && _entries.Count <= MaxEntries)
                return;
            foreach ((string old, Entry entry) in _entries.OrderBy(e => e.Value.LastUse).ToList())
            {
                if (_points <= maxPoints / 4 * 3 && _entries.Count <= MaxEntries / 4 * 3)
                    return;
                _entries.Remove(old);
                _points -= entry.Points;
            }
        }
    }

    /// <summary>The steps of an extent within bounds.</summary>
    public static Extent Cut(Extent extent, long fromMs, long toMs)
    {
        if (fromMs <= extent.FromMs && toMs >= extent.ToMs)
            return extent;
        var series = new List<ResultSeries>(extent.Series.Count);
        foreach (ResultSeries one in extent.Series)
        {
            List<Point> points = [.. one.Points.Where(p => p.TimestampMs >= fromMs && p.TimestampMs <= toMs)];
            if (points.Count > 0)
                series.Add(new ResultSeries(one.Labels, points));
        }
        return new Extent(Math.Max(fromMs, extent.FromMs), Math.Min(toMs, extent.ToMs), extent.Mark, series);
    }

    /// <summary>Puts pieces that follow each other in time together; the mark is the oldest of theirs.</summary>
    public static Extent Join(IReadOnlyList<Extent> pieces)
    {
        if (pieces.Count == 1)
            return pieces[0];
        var points = new Dictionary<Labels, List<Point>>();
        foreach (Extent piece in pieces)
        {
            foreach (ResultSeries series in piece.Series)
            {
                if (!points.TryGetValue(series.Labels, out List<Point>? all))
                    points.Add(series.Labels, all = []);
                all.AddRange(series.Points);
            }
        }
        List<ResultSeries> joined = [.. points.Select(p => new ResultSeries(p.Key, p.Value))];
        joined.Sort((a, b) => a.Labels.CompareTo(b.Labels));
        return new Extent(pieces[0].FromMs, pieces[^1].ToMs, pieces.Min(p => p.Mark), joined);
    }

    private sealed class Entry(Extent extent, long points)
    {
        public Extent Extent { get; } = extent;

        public long Points { get; } = points;

        public long LastUse { get; set; }
    }
}
