namespace Bellwether.PromQl.Tests.Peer;

/// <summary>Expressions of random shape, of what Prometheus 2.42 has. Ranges of subqueries never begin at a step: there it differs from Prometheus 3.</summary>
internal static class PeerExpressions
{
    private static readonly string[] s_windows =
    [
        "delta", "irate", "idelta", "count_over_time", "present_over_time", "last_over_time", "sum_over_time", "avg_over_time", "max_over_time",
        "min_over_time", "stddev_over_time", "stdvar_over_time", "changes", "resets", "deriv", "absent_over_time",
    ];

    private static readonly string[] s_perPoint =
    [
        "abs", "ceil", "floor", "sgn", "sqrt", "exp", "ln", "log2", "log10", "atan", "sinh", "asinh", "deg", "rad", "-", "+", "round", "hour", "day_of_week",
        "days_in_month", "absent", "minute", "day_of_year", "year", "month",
    ];

    public static string Make(Random random) => random.Next(12) == 0 ? Scalar(random, 3) : Vector(random, 3);

    private static string Vector(Random random, int depth) => random.Next(depth > 0 ? 16 : 3) switch
    {
        0 => Name(random) + When(random),
        1 or 2 => Window(random, depth),
        3 or 4 => $"{Pick(random, "sum", "avg", "min", "max", "count", "group")} {Grouping(random)}({Vector(random, depth - 1)})",
        // Of one NaN it says that it does not deviate.
        5 when random.Next(2) == 0 => $"{Pick(random, "stddev", "stdvar")} {Grouping(random)}({Pick(random, "g", "c_total", "rate(c_total[50m])")}{When(random)})",
        // Of equal values each takes others.
        5 => $"{Pick(random, "topk", "bottomk")} {Grouping(random)}({Pick(random, "1", "2", "0", "-1", "2.9", "time()", "1e30")}, {Pick(random, "g", "c_total", "deriv(g[5m])", "sum by (s, job) (g)", "g / 7", "-c_total")})",
        6 => $"quantile {Grouping(random)}({Pick(random, "0.5", "0.9", "0", "1", "-1", "2", "0.33", "NaN")}, {Vector(random, depth - 1)})",
        7 => $"({Vector(random, depth - 1)} {Operator(random)} {Scalar(random, depth - 1)})",
        8 => $"({Scalar(random, depth - 1)} {Operator(random)} {Vector(random, depth - 1)})",
        9 or 10 => $"({Vector(random, depth - 1)} {Operator(random)} {Matching(random)} {Vector(random, depth - 1)})",
        11 => $"({Vector(random, depth - 1)} {Pick(random, "and", "or", "unless")} {Pick(random, "", "on (job)", "ignoring (s)", "on ()")} {Vector(random, depth - 1)})",
        // With @ and an offset it finds nothing.
        12 when random.Next(10) == 0 => $"timestamp({Name(random)}{Pick(random, "", " offset 1m", " @ end()")})",
        12 => $"{Pick(random, s_perPoint)}({Vector(random, depth - 1)})",
        13 => Labelled(random, depth),
        14 => Pick(random, $"clamp({Vector(random, depth - 1)}, {Scalar(random, 1)}, {Scalar(random, 1)})", $"clamp_min({Vector(random, depth - 1)}, {Scalar(random, 1)})", $"clamp_max({Vector(random, depth - 1)}, {Scalar(random, 1)})", $"vector({Scalar(random, depth - 1)})"),
        _ => $"histogram_quantile({Pick(random, "0.5", "0.9", "0", "1", "-1", "2", "0.33", "NaN")}, {Pick(random, "", "sum by (le) ", "sum by (le, job) ", "avg without (job) ", "sum by (job) ")}({Pick(random, "h_bucket", "rate(h_bucket[5m])", "increase(h_bucket[20m])", "h_bucket{le!=\"+Inf\"}", "h_bucket{le=~\"1|.Inf\"}")}))",
    };

    private static string Scalar(Random random, int depth) => random.Next(depth > 0 ? 9 : 5) switch
    {
        0 or 1 or 2 => Pick(random, "2", "0", "-1.5", "Inf", "NaN", "1", "3", "0x1f", "1e3", "-Inf", ".5"),
        3 => "time()",
        4 => "pi()",
        5 => $"scalar({Vector(random, depth - 1)})",
        6 => $"({Scalar(random, depth - 1)} {Pick(random, "+", "-", "*", "/", "%", "^", "atan2", "== bool", "> bool", "<= bool")} {Scalar(random, depth - 1)})",
        7 => $"-({Scalar(random, depth - 1)})",
        _ => "scalar(one)",
    };

    private static string Labelled(Random random, int depth) => random.Next(4) switch
    {
        0 => $"label_replace({Vector(random, depth - 1)}, \"{Pick(random, "new", "job", "s", "__name__")}\", \"{Pick(random, "$1", "x$1-$2", "${1}y", "", "fix")}\", \"{Pick(random, "job", "s", "none")}\", \"{Pick(random, "(.*)", "(a)(.*)", "[0-2]", "", ".+")}\")",
        1 => $"label_join({Vector(random, depth - 1)}, \"{Pick(random, "new", "job", "s")}\", \"-\"{Pick(random, "", ", \"job\"", ", \"s\", \"none\", \"job\"")})",
        2 => $"count_values {Grouping(random)}(\"{Pick(random, "v", "job", "s")}\", {Name(random)})",
        _ => $"sum by (job) ({Vector(random, depth - 1)})",
    };

    private static string Window(Random random, int depth)
    {
        string range = random.Next(4) == 0 && depth > 0
            ? $"{Subject(Vector(random, 1))}[{Pick(random, "1m1s7ms", "5m7s7ms", "17m3s7ms")}:{Pick(random, "10s", "15s", "1m", "")}]{When(random)}"
            : $"{Name(random)}[{Pick(random, "30s", "1m", "5m", "17m", "1h", "90s")}]{When(random)}";
        // Its sums of infinities are NaN in regressions.
        bool isOdd = range.Contains("odd", StringComparison.Ordinal);
        return random.Next(10) switch
        {
            0 => $"quantile_over_time({Pick(random, "0.5", "0.9", "0", "1", "-1", "0.999", "2")}, {range})",
            // With @ it knows the first step only.
            1 when !isOdd && !range.Contains('@', StringComparison.Ordinal) => $"predict_linear({range}, {Scalar(random, 1)})",
            // Towards zero it extrapolates farther: only of counters that are far from it, whatever the window.
            3 or 4 => $"{Pick(random, "rate", "increase")}({Pick(random, "c_total", "h_count", "c_total{job=\"a\"}", "one")}[{Pick(random, "17m", "1h", "50m")}]{When(random)})",
            2 => $"holt_winters({range}, {Pick(random, "0.5", "0.1", "1.5")}, {Pick(random, "0.5", "0.9", "0")})",
            _ => $"{(isOdd ? Pick(random, s_windows).Replace("deriv", "changes", StringComparison.Ordinal) : Pick(random, s_windows))}({range})",
        };
    }

    // A range stands after a selector as it is; after the rest it needs parentheses only where an operator or a sign is.
    private static string Subject(string expression) => expression[0] is '-' or '+' || expression.Contains(" offset ", StringComparison.Ordinal) || expression.Contains(" @ ", StringComparison.Ordinal) ? $"({expression})" : expression;

    private static string Operator(Random random) => Pick(random, "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "== bool", "!= bool", "> bool", "< bool");

    private static string Matching(Random random) => Pick(random, "", "", "on (job, s)", "ignoring (job)", "on (job) group_left ()", "on (job) group_left (version)", "on (s) group_right ()", "on (job)", "ignoring (s, version) group_right ()", "on ()");

    private static string Grouping(Random random) => Pick(random, "", "by (job) ", "without (s) ", "by (s, job) ", "by (none) ", "without () ", "by () ");

    private static string Name(Random random) => Pick(random, "c_total", "g", "g", "c_total{job=\"a\"}", "odd", "one", "info", "{__name__=~\"c_total|g\",s=\"0\"}", "g{s!~\"1|2\"}", "h_count", "none{job=\"x\"}");

    private static string When(Random random) => Pick(random, "", "", "", "", " offset 1m", " offset -90s", " offset 17m", " @ 1700001000", " @ end()", " @ start() offset 2m", " offset 5m @ 1700002000.5");

    private static string Pick(Random random, params string[] from) => from[random.Next(from.Length)];
}
