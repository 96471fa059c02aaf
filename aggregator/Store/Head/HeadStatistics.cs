using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>Counts what is in the head. The gate must be held for reading.</summary>
internal static class HeadStatistics
{
    public static StoreStatistics Take(HeadIndex index, int limit)
    {
        long chunks = 0, min = long.MaxValue, max = long.MinValue;
        foreach (HeadSeries series in index.All)
        {
            chunks += series.BlockCount;
            min = Math.Min(min, series.OldestMs);
            max = Math.Max(max, series.NewestMs);
        }
        var names = new List<NamedCount>();
        var values = new List<NamedCount>();
        var bytes = new List<NamedCount>();
        var pairs = new List<NamedCount>();
        int pairCount = 0;
        foreach ((string name, Dictionary<string, PostingList> lists) in index.Postings.Names)
        {
            values.Add(new NamedCount(name, lists.Count));
            pairCount += lists.Count;
            long size = 0;
            foreach ((string value, PostingList list) in lists)
            {
                size += (long)Encoding.UTF8.GetByteCount(value) * list.Count;
                pairs.Add(new NamedCount($"{name}={value}", list.Count));
                if (name == LabelNames.MetricName)
                    names.Add(new NamedCount(value, list.Count));
            }
            bytes.Add(new NamedCount(name, size));
        }
        return new StoreStatistics
        {
            HeadSeries = index.Count,
            HeadChunks = chunks,
            LabelPairs = pairCount,
            MinTimeMs = min == long.MaxValue ? 0 : min,
            MaxTimeMs = max == long.MinValue ? 0 : max,
            SeriesByMetricName = Top(names, limit),
            ValuesByLabelName = Top(values, limit),
            BytesByLabelName = Top(bytes, limit),
            SeriesByLabelPair = Top(pairs, limit),
            SeriesByJob = ByValue(index, HeadWriter.JobLabel, limit),
            SeriesByAgent = ByAgent(index, limit),
        };
    }

    /// <summary>Series by the values of one label, most first.</summary>
    public static IReadOnlyList<NamedCount> ByValue(HeadIndex index, string name, int limit) =>
        index.Postings.Names.TryGetValue(name, out Dictionary<string, PostingList>? values) ? Top([.. values.Select(v => new NamedCount(v.Key, v.Value.Count))], limit) : [];

    /// <summary>Series by the agent that was the first to send them, most first.</summary>
    public static IReadOnlyList<NamedCount> ByAgent(HeadIndex index, int limit) => Top([.. index.Senders.Counts], limit);

    private static List<NamedCount> Top(List<NamedCount> all, int limit)
    {
        all.Sort((a, b) => a.Count != b.Count ? b.Count.CompareTo(a.Count) : string.CompareOrdinal(a.Name, b.Name));
        return all.Count <= limit ? all : all.GetRange(0, limit);
    }
}
