using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Kit;

/// <summary>What a store shows, read whole.</summary>
public static class StoredSamples
{
    /// <summary>All samples of the series that match: series by series in the reader's order, by time within each.</summary>
    public static List<SeriesSample> Samples(this ISeriesReader reader, params LabelMatcher[] matchers)
    {
        var all = new List<SeriesSample>();
        using ISeriesSet set = reader.Select(long.MinValue, long.MaxValue, matchers, CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            for (int s = 0; s < buffer.Count; s++)
                all.Add(new SeriesSample(set.LabelsAt(i), buffer.Times[s], buffer.Values[s], buffer.HistogramAt(s), buffer.StartTimeAt(s)));
        }
        return all;
    }

    /// <summary>All samples of the only series of a name.</summary>
    public static SampleBuffer SeriesNamed(this ISeriesReader reader, string name)
    {
        using ISeriesSet set = reader.Select(long.MinValue, long.MaxValue, [new LabelMatcher(MatchType.Equal, LabelNames.MetricName, name)], CancellationToken.None);
        if (set.Count != 1)
            throw new InvalidOperationException($"there are {set.Count} series of the name {name}");
        var buffer = new SampleBuffer();
        set.Read(0, buffer);
        return buffer;
    }
}
