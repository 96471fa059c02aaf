using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.Kit.PromQl;

/// <summary>Compares results with what a case expects. Null: right; else what is wrong.</summary>
internal static class Comparison
{
    public static string? Check(EvalCase test, QueryResult result, long startMs, long stepMs)
    {
        if (test.Failure is not null)
        {
            if (result.Error is null)
                return "expected a failure, got a result";
            return test.Failure.Fits(result.Error.Message) ? null : $"expected error '{test.Failure.Exact ?? test.Failure.Pattern}', got '{result.Error.Message}'";
        }
        if (result.Error is not null)
            return $"failed: {result.Error.Message}";
        return Notes("warning", test.Warnings, test.NoWarnings, result.Warnings)
            ?? Notes("info", test.Infos, test.NoInfos, result.Infos)
            ?? Values(test, result, startMs, stepMs, true);
    }

    public static string? CheckValues(EvalCase test, QueryResult result, long startMs) =>
        result.Error is not null ? $"failed: {result.Error.Message}" : Values(test, result, startMs, 0, false);

    private static string? Notes(string level, List<ExpectedText> expected, bool none, IReadOnlyList<string> got)
    {
        if (none && got.Count > 0)
            return $"unexpected {level}: {got[0]}";
        foreach (ExpectedText e in expected)
        {
            if (!got.Any(e.Fits))
                return $"missing {level} '{e.Exact ?? e.Pattern}', got [{string.Join("; ", got)}]";
        }
        if (expected.Count > 0 && got.FirstOrDefault(g => !expected.Exists(e => e.Fits(g))) is { } extra)
            return $"unexpected {level}: {extra}";
        return null;
    }

    private static string? Values(EvalCase test, QueryResult result, long startMs, long stepMs, bool full)
    {
        if (test.Text is not null)
            return result.Type == ValueType.String && result.Text == test.Text ? null : $"expected the string '{test.Text}', got '{result.Text}'";
        if (test.Scalar is double scalar)
        {
            double got = result.Type == ValueType.Scalar ? result.Scalar.Value : result.Series.Count == 1 && result.Series[0].Points.Count == 1 ? result.Series[0].Points[0].Value : double.MinValue;
            return Close(scalar, got) ? null : $"expected {scalar}, got {got}";
        }
        if (result.Type is ValueType.Scalar or ValueType.String && test.Series.Count == 0)
            return $"expected nothing, got a {result.Type}";
        if (test.RangeVector is { } range)
            (startMs, stepMs) = (range.Start, range.Step);
        return Set(test, result, startMs, stepMs, full);
    }

    private static string? Set(EvalCase test, QueryResult result, long startMs, long stepMs, bool full)
    {
        var got = result.Series.GroupBy(s => s.Labels).ToDictionary(g => g.Key, g => g.ToList());
        List<SeriesLine> expected = [.. test.Series.Where(s => s.Items.Any(i => !i.IsMissing))];
        foreach (ResultSeries series in result.Series)
        {
            if (got[series.Labels].Count > 1)
                return $"{series.Labels} came twice";
            if (!expected.Exists(e => e.Labels.Equals(series.Labels)))
                return $"unexpected series {series.Labels} = {Show(series.Points[0])}";
        }
        for (int k = 0; k < expected.Count; k++)
        {
            if (!got.TryGetValue(expected[k].Labels, out List<ResultSeries>? found))
                return $"missing series {expected[k].Labels}";
            if (full && test.Ordered && !result.Series[k].Labels.Equals(expected[k].Labels))
                return $"expected {expected[k].Labels} at place {k + 1}, got {result.Series[k].Labels}";
            if (Points(expected[k], found[0], startMs, stepMs) is { } failure)
                return failure;
        }
        return null;
    }

    private static string? Points(SeriesLine expected, ResultSeries got, long startMs, long stepMs)
    {
        var wanted = new List<(long Time, SeriesItem Item)>();
        for (int k = 0; k < expected.Items.Count; k++)
        {
            if (!expected.Items[k].IsMissing)
                wanted.Add((startMs + k * stepMs, expected.Items[k]));
        }
        if (wanted.Count != got.Points.Count)
            return $"{got.Labels}: expected {wanted.Count} points, got {got.Points.Count} (first {Show(got.Points[0])})";
        for (int k = 0; k < wanted.Count; k++)
        {
            Point point = got.Points[k];
            (long time, SeriesItem item) = wanted[k];
            if (point.TimestampMs != time)
                return $"{got.Labels}: expected a point at {time}, got one at {point.TimestampMs}";
            bool same = item.Histogram is null ? point.Histogram is null && Close(item.Value, point.Value) : point.Histogram is not null && Close(item, point.Histogram);
            if (!same)
                return $"{got.Labels} at {time}: expected {Show(new Point(time, item.Value, item.Histogram))}, got {Show(point)}";
        }
        return null;
    }

    private static string Show(Point p) => p.Histogram is null
        ? p.Value.ToString("R", CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{{{{schema:{p.Histogram.Schema} count:{p.Histogram.Count} sum:{p.Histogram.Sum} z:{p.Histogram.ZeroCount}/{p.Histogram.ZeroThreshold} p:[{Show(p.Histogram.Buckets(true))}] n:[{Show(p.Histogram.Buckets(false))}] custom:[{string.Join(' ', p.Histogram.CustomValues)}] hint:{p.Histogram.ResetHint}}}}}");

    private static string Show(BucketCount[] buckets) => string.Join(' ', buckets.Where(b => b.Count != 0).Select(b => string.Create(CultureInfo.InvariantCulture, $"{b.Index}:{b.Count}")));

    private static bool Close(SeriesItem item, NativeHistogram b)
    {
        NativeHistogram a = item.Histogram!;
        return a.Schema == b.Schema && a.ZeroThreshold == b.ZeroThreshold && Close(a.Count, b.Count) && Close(a.Sum, b.Sum) && Close(a.ZeroCount, b.ZeroCount)
            && a.CustomValues.AsSpan().SequenceEqual(b.CustomValues) && Close(a.Compact().Buckets(true), b.Compact().Buckets(true)) && Close(a.Compact().Buckets(false), b.Compact().Buckets(false))
            && (!item.NamesHint || a.ResetHint == b.ResetHint);
    }

    private static bool Close(BucketCount[] a, BucketCount[] b)
    {
        if (a.Length != b.Length)
            return false;
        for (int i = 0; i < a.Length; i++)
        {
            if (a[i].Index != b[i].Index || !Close(a[i].Count, b[i].Count))
                return false;
        }
        return true;
    }

    /// <summary>Equal within one millionth; NaN equals NaN, the stale marker itself alone.</summary>
    public static bool Close(double a, double b)
    {
        if (SpecialValues.IsStale(a) || SpecialValues.IsStale(b))
            return SpecialValues.IsStale(a) && SpecialValues.IsStale(b);
        if ((double.IsNaN(a) && double.IsNaN(b)) || a == b)
            return true;
        double difference = Math.Abs(a - b);
        if (a == 0 || b == 0)
            return difference < 1e-6 * 2.2250738585072014e-308;
        return difference / Math.Min(Math.Abs(a) + Math.Abs(b), double.MaxValue) < 1e-6;
    }
}
