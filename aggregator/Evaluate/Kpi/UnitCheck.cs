using System.Collections.Frozen;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// Finds out what an expression measures, from the units of KPIs that it reads and from the endings of metric names (<c>_seconds</c>, <c>_euros</c>, <c>_bytes</c>), and refuses what cannot
/// be added, subtracted or compared: euros + seconds. What it cannot know it lets pass. A number that is no known conversion (3600, 1000, 100 …) may carry a unit of its own.
/// </summary>
internal sealed class UnitCheck(Func<string, string?> unitOfKpi)
{
    private static readonly FrozenSet<double> s_conversions = new double[] { 1, 7, 12, 24, 30, 60, 100, 168, 365, 720, 730, 1000, 1024, 1440, 3600, 86400, 604800, 1e6, 1e9, 1048576 }.ToFrozenSet();
    private static readonly FrozenSet<string> s_same = "increase delta idelta avg_over_time min_over_time max_over_time sum_over_time last_over_time first_over_time quantile_over_time stddev_over_time abs ceil floor round clamp clamp_min clamp_max sort sort_desc label_replace label_join predict_linear double_exponential_smoothing scalar vector histogram_sum".Split(' ').ToFrozenSet();
    private static readonly FrozenSet<string> s_numbers = "count_over_time changes resets absent absent_over_time present_over_time histogram_count sgn hour minute day_of_week day_of_month day_of_year days_in_month month year".Split(' ').ToFrozenSet();
    private static readonly string[] s_endings = ["_total", "_sum", "_max", "_min", "_avg", "_created", "_current"];

    /// <summary>The first thing that does not go together, or null.</summary>
    public string? Problem { get; private set; }

    /// <summary>What the expression measures; null: not known.</summary>
    public Dimension? Of(Expr expr) => Infer(expr).Known;

    /// <summary>Whether a declared unit can be what an expression measures. A rate and the amount of a window are both told per hour by people, so time below the line is not looked at.</summary>
    public static bool Fits(Unit declared, Dimension found)
    {
        if (declared.Dimension.Money != found.Money || declared.Dimension.Bytes != found.Bytes)
            return false;
        return Math.Max(declared.Dimension.Time, 0) == Math.Max(found.Time, 0);
    }

    private Meaning Infer(Expr expr)
    {
        switch (expr)
        {
            case NumberLiteral number:
                return number.IsDuration ? new Meaning(new Dimension(1, 0, ""), false) : new Meaning(s_conversions.Contains(Math.Abs(number.Value)) ? default(Dimension) : null, true);
            case ParenExpr paren:
                return Infer(paren.Inner);
            case UnaryExpr unary:
                return Infer(unary.Operand);
            case VectorSelector selector:
                return new Meaning(OfMetric(ExprWalk.MetricOf(selector)), false);
            case MatrixSelector matrix:
                return Infer(matrix.Selector);
            case SubqueryExpr subquery:
                return Infer(subquery.Inner);
            case AggregateExpr aggregate:
                Meaning inner = Infer(aggregate.Inner);
                return aggregate.Op is "count" or "group" or "count_values" ? new Meaning(default(Dimension), false) : aggregate.Op == "stdvar" ? default : inner;
            case BinaryExpr binary:
                return Binary(binary);
            case CallExpr call:
                return Call(call);
            default:
                return default;
        }
    }

    private Meaning Binary(BinaryExpr binary)
    {
        Meaning left = Infer(binary.Left), right = Infer(binary.Right);
        switch (binary.Op)
        {
            case "*":
                return left.Known is { } a && right.Known is { } b ? new Meaning(a.Times(b), left.IsNumber && right.IsNumber) : default;
            case "/":
                return left.Known is { } c && right.Known is { } d ? new Meaning(c.Over(d), left.IsNumber && right.IsNumber) : default;
            case "^" or "atan2":
                return default;
            case "and" or "unless":
                return left;
        }
        if (!left.IsNumber && !right.IsNumber && left.Known is { } l && right.Known is { } r && !l.Same(r))
            Problem ??= $"{Short(binary.Left)} is {l} and {Short(binary.Right)} is {r}: '{binary.Op}' cannot join them";
        return left.IsNumber || left.Known is null ? new Meaning(right.Known, left.IsNumber && right.IsNumber) : left;
    }

    private Meaning Call(CallExpr call)
    {
        string name = call.Function.Name;
        List<Meaning> arguments = [.. call.Arguments.Select(Infer)];
        if (name is "rate" or "irate" or "deriv")
            return arguments[0].Known is { } rated ? new Meaning(rated.Over(new Dimension(1, 0, "")), false) : default;
        if (name is "time" or "timestamp")
            return new Meaning(new Dimension(1, 0, ""), false);
        if (s_numbers.Contains(name))
            return new Meaning(default(Dimension), false);
        if (name is "histogram_quantile" or "histogram_avg")
            return new Meaning(ExprWalk.Selectors(call).Select(s => ExprWalk.MetricOf(s)).FirstOrDefault() is { } metric ? OfMetric(metric.EndsWith("_bucket", StringComparison.Ordinal) ? metric[..^7] : metric) : null, false);
        if (!s_same.Contains(name))
            return default;
        return name == "quantile_over_time" ? arguments[1] : arguments[0];
    }

    private Dimension? OfMetric(string metric)
    {
        if (metric.Length == 0)
            return null;
        if (unitOfKpi(metric) is { } unit)
            return Unit.Parse(unit).Dimension;
        if (metric.EndsWith("_bucket", StringComparison.Ordinal) || metric.EndsWith("_count", StringComparison.Ordinal))
            return default(Dimension);
        string name = metric;
        foreach (string ending in s_endings)
        {
            if (name.EndsWith(ending, StringComparison.Ordinal))
            {
                name = name[..^ending.Length];
                break;
            }
        }
        int per = name.LastIndexOf("_per_", StringComparison.Ordinal);
        if (per > 0)
        {
            string below = name[(per + 5)..];
            string above = name[(name.LastIndexOfAny(['_', ':'], per - 1) + 1)..per];
            return Unit.OfWord(above) is { } top ? top.Over(Unit.OfWord(below) ?? default) : null;
        }
        return Unit.OfWord(name[(name.LastIndexOfAny(['_', ':']) + 1)..]);
    }

    private static string Short(Expr expr) => expr.ToString() is { Length: > 60 } text ? text[..57] + "..." : expr.ToString();

    private readonly record struct Meaning(Dimension? Known, bool IsNumber);
}
