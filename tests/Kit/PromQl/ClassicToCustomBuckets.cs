using System.Globalization;
using Bellwether.Core.Model;

namespace Bellwether.Kit.PromQl;

/// <summary>Builds custom-bucket histograms from classic ones (<c>load_with_nhcb</c>).</summary>
internal static class ClassicToCustomBuckets
{
    private sealed class Classic
    {
        public SortedDictionary<double, double> Buckets { get; } = [];

        public double? Sum { get; set; }

        public double? Count { get; set; }
    }

    public static void Add(MemorySeries series, List<(Labels Labels, long TimeMs, double Value)> samples)
    {
        var found = new Dictionary<(Labels, long), Classic>();
        foreach ((Labels labels, long time, double value) in samples)
        {
            string name = labels.MetricName;
            string suffix = name.EndsWith("_bucket", StringComparison.Ordinal) ? "_bucket" : name.EndsWith("_sum", StringComparison.Ordinal) ? "_sum" : name.EndsWith("_count", StringComparison.Ordinal) ? "_count" : "";
            if (suffix.Length == 0 || SpecialValues.IsStale(value))
                continue;
            Labels key = labels.Without("le").With("__name__", name[..^suffix.Length]);
            if (!found.TryGetValue((key, time), out Classic? classic))
                found.Add((key, time), classic = new Classic());
            if (suffix == "_sum")
                classic.Sum = value;
            else if (suffix == "_count")
                classic.Count = value;
            else if (TryBound(labels.Get("le"), out double bound))
                classic.Buckets[bound] = value;
        }
        foreach (((Labels labels, long time), Classic classic) in found)
        {
            if (classic.Buckets.Count > 0)
                series.Add(labels, time, 0, Build(classic));
        }
    }

    private static bool TryBound(string text, out double bound)
    {
        bound = double.PositiveInfinity;
        return text is "+Inf" or "Inf" || double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out bound);
    }

    private static NativeHistogram Build(Classic classic)
    {
        double count = classic.Count ?? classic.Buckets.Last().Value;
        if (!classic.Buckets.ContainsKey(double.PositiveInfinity))
            classic.Buckets[double.PositiveInfinity] = count;
        var counts = new List<BucketCount>();
        double previous = 0;
        int index = 0;
        foreach (double cumulative in classic.Buckets.Values)
        {
            if (cumulative - previous != 0)
                counts.Add(new BucketCount(index, cumulative - previous));
            previous = cumulative;
            index++;
        }
        return new NativeHistogram
        {
            Schema = NativeHistogram.CustomBucketsSchema,
            Count = count,
            Sum = classic.Sum ?? 0,
            CustomValues = [.. classic.Buckets.Keys.Where(double.IsFinite)],
        }.WithBuckets([.. counts], []);
    }
}
