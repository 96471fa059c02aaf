using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// What native histograms count for the limits of samples: a sample is 16 bytes, a histogram is as many as it takes, so that the limit bounds memory. One that stands at several steps
/// in a row counts once.
/// </summary>
internal static class SampleWeight
{
    private const int BytesPerSample = 16;

    /// <summary>Samples that a histogram counts for beside the place where it stands.</summary>
    public static int Of(NativeHistogram histogram) => (histogram.SizeInMemory + BytesPerSample - 1) / BytesPerSample;

    /// <summary>As <see cref="Of(NativeHistogram)"/>, of a column.</summary>
    public static long Of(ReadOnlySpan<NativeHistogram?> histograms)
    {
        long weight = 0;
        NativeHistogram? previous = null;
        foreach (NativeHistogram? histogram in histograms)
        {
            if (histogram is not null && histogram != previous)
                weight += Of(histogram);
            previous = histogram;
        }
        return weight;
    }

    /// <summary>As <see cref="Of(NativeHistogram)"/>, of the points of a result.</summary>
    public static long Of(IReadOnlyList<Point> points)
    {
        long weight = 0;
        NativeHistogram? previous = null;
        foreach (Point point in points)
        {
            if (point.Histogram is { } histogram && histogram != previous)
                weight += Of(histogram);
            previous = point.Histogram;
        }
        return weight;
    }
}
