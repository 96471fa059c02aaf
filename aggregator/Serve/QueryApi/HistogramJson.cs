using Bellwether.Core.Model;

namespace Bellwether.Serve.QueryApi;

/// <summary>A native histogram in the API's form: count, sum and the filled buckets as [boundaries, lower, upper, count], from the lowest to the highest.</summary>
internal static class HistogramJson
{
    private const int OpenLeft = 0;
    private const int OpenRight = 1;
    private const int ClosedBoth = 3;

    public static void Write(ApiJson api, NativeHistogram histogram)
    {
        api.Json.WriteStartObject();
        api.Json.WritePropertyName("count");
        api.Float(histogram.Count);
        api.Json.WritePropertyName("sum");
        api.Float(histogram.Sum);
        bool open = false;
        foreach ((int boundaries, double low, double high, double count) in Buckets(histogram))
        {
            if (count == 0)
                continue;
            if (!open)
                api.Json.WriteStartArray("buckets");
            open = true;
            api.Json.WriteStartArray();
            api.Json.WriteNumberValue(boundaries);
            api.Float(low);
            api.Float(high);
            api.Float(count);
            api.Json.WriteEndArray();
        }
        if (open)
            api.Json.WriteEndArray();
        api.Json.WriteEndObject();
    }

    private static IEnumerable<(int Boundaries, double Low, double High, double Count)> Buckets(NativeHistogram h)
    {
        foreach ((int index, double count) in Indexed(h.NegativeSpans, h.NegativeBuckets).Reverse())
            yield return (OpenRight, -Bound(h, index), -Bound(h, index - 1), count);
        if (h.ZeroCount > 0)
            yield return (ClosedBoth, -h.ZeroThreshold, h.ZeroThreshold, h.ZeroCount);
        foreach ((int index, double count) in Indexed(h.PositiveSpans, h.PositiveBuckets))
        {
            double low = h.Schema == NativeHistogram.CustomBucketsSchema ? Custom(h, index - 1) : Bound(h, index - 1);
            double high = h.Schema == NativeHistogram.CustomBucketsSchema ? Custom(h, index) : Bound(h, index);
            yield return (double.IsNegativeInfinity(low) ? ClosedBoth : OpenLeft, low, high, count);
        }
    }

    private static IEnumerable<(int Index, double Count)> Indexed(BucketSpan[] spans, double[] counts)
    {
        int index = 0, at = 0;
        foreach (BucketSpan span in spans)
        {
            index += span.Offset;
            for (int i = 0; i < span.Length && at < counts.Length; i++)
                yield return (index++, counts[at++]);
        }
    }

    private static double Custom(NativeHistogram h, int index) =>
        index < 0 ? double.NegativeInfinity : index < h.CustomValues.Length ? h.CustomValues[index] : double.PositiveInfinity;

    private static double Bound(NativeHistogram h, int index) => NativeHistogram.ExponentialBound(index, h.Schema);
}
