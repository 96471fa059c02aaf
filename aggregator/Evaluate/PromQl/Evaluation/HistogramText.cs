using System.Text;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Native histograms as text, as Prometheus writes them: <c>{count:4, sum:10, (1,2]:4}</c>.</summary>
internal static class HistogramText
{
    public static string Format(NativeHistogram h)
    {
        var text = new StringBuilder("{count:").Append(Printer.FormatNumber(h.Count)).Append(", sum:").Append(Printer.FormatNumber(h.Sum));
        BucketCount[] negative = h.Buckets(false);
        for (int i = negative.Length - 1; i >= 0; i--)
        {
            (double lower, double upper) = h.Bounds(negative[i].Index);
            Append(text, '[', -upper, -lower, ')', negative[i].Count);
        }
        if (h.ZeroCount != 0)
            Append(text, '[', -h.ZeroThreshold, h.ZeroThreshold, ']', h.ZeroCount);
        foreach (BucketCount bucket in h.Buckets(true))
        {
            (double lower, double upper) = h.Bounds(bucket.Index);
            Append(text, double.IsNegativeInfinity(lower) ? '[' : '(', lower, upper, ']', bucket.Count);
        }
        return text.Append('}').ToString();
    }

    private static void Append(StringBuilder text, char open, double lower, double upper, char close, double count)
    {
        if (count != 0)
            text.Append(", ").Append(open).Append(Printer.FormatNumber(lower)).Append(',').Append(Printer.FormatNumber(upper)).Append(close).Append(':').Append(Printer.FormatNumber(count));
    }
}
