using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <content>The form <c>exact</c> and what it is reconciled with.</content>
internal static partial class KpiReading
{
    private static readonly TimeSpan s_defaultWindow = TimeSpan.FromHours(1);
    private static readonly string[] s_classicEndings = ["_bucket", "_count", "_sum"];
    private static readonly TimeSpan s_defaultSkew = TimeSpan.FromMinutes(1);

    private static KpiDraft ReadExact(KpiDraft draft)
    {
        ConfigSection section = draft.Section.Section("exact");
        string counter = ReadSelector(section, "counter");
        double step = section.Number("step", Unit.Parse(draft.Definition.Unit).Dimension.Money.Length > 0 ? 0.01 : 1);
        if (!(step > 0))
            section.Error("step", "must be above 0: the smallest step of the unit, such as 0.01 for euros");
        var exact = new KpiExact { Counter = counter, Native = ReadNative(section, counter), Window = section.Duration("window", s_defaultWindow, TimeSpan.FromSeconds(1)), Step = step };
        section.Close();
        exact = exact with { Reconcile = ReadReconcile(draft.Section, exact) };
        return draft with { Definition = draft.Definition with { Exact = exact, Expression = Text(exact) } };
    }

    /// <summary>The exact count in PromQL.</summary>
    public static string Text(KpiExact exact) => Rounded(Grown(exact, exact.Window, " anchored"), exact.Step);

    /// <summary>What the counters grew by, all together. Of histograms each one's number is taken before they are added: their buckets need not go together.</summary>
    public static string Grown(KpiExact exact, TimeSpan window, string modifiers)
    {
        string increase = $"increase({exact.Counter}[{PrometheusDuration.Format(window)}]{modifiers})";
        return exact.Native switch
        {
            NativePart.Count => $"sum(histogram_count({increase}))",
            NativePart.Sum => $"sum(histogram_sum({increase}))",
            _ => $"sum({increase})",
        };
    }

    private static NativePart ReadNative(ConfigSection section, string counter)
    {
        NativePart native = section.Word("native", NativePart.None, [("count", NativePart.Count), ("sum", NativePart.Sum)]);
        string name = PromQlParser.Parse(counter).Expr is VectorSelector selector ? ExprWalk.MetricOf(selector) : "";
        string? ending = Array.Find(s_classicEndings, e => name.EndsWith(e, StringComparison.Ordinal));
        if (native != NativePart.None && ending is not null)
            section.Error("counter", $"'{name}' is a series of a classic histogram; with 'native' give the histogram's own name ('{name[..^ending.Length]}'), or leave 'native' out");
        return native;
    }

    /// <summary>An expression in whole steps.</summary>
    public static string Rounded(string expression, double step)
    {
        string text = Numbers.Is(step, 1) ? $"round({expression})" : $"round({expression}, {Numbers.Text(step)})";
        return PromQlParser.Parse(text).Expr?.ToString() ?? text;
    }

    private static KpiReconcile? ReadReconcile(ConfigSection kpi, KpiExact exact)
    {
        if (!kpi.Has("reconcile"))
            return null;
        ConfigSection section = kpi.Section("reconcile");
        bool hasTotal = section.Has("total"), hasExpression = section.Has("expr");
        if (hasTotal == hasExpression)
            section.Error("needs either 'total' (a figure that the application's books have grown to), or 'expr' (the figure of the window)");
        string expression = hasExpression ? ReadExpression(section, "expr") : "";
        if (hasTotal && ReadSelector(section, "total") is { Length: > 0 } total)
            expression = Rounded($"sum(delta({total}[{PrometheusDuration.Format(exact.Window)}] anchored))", exact.Step);
        var reconcile = new KpiReconcile
        {
            Expression = PromQlParser.Parse(expression).Expr?.ToString() ?? expression,
            Skew = section.Duration("skew", s_defaultSkew, TimeSpan.FromSeconds(1)),
            Tolerance = section.Number("tolerance", 0, 0),
        };
        if (reconcile.Skew * 2 >= exact.Window)
            section.Error("skew", $"{PrometheusDuration.Format(reconcile.Skew)} is too long for a window of {PrometheusDuration.Format(exact.Window)}; it must be less than half of it");
        section.Close();
        return reconcile;
    }

    /// <summary>The text of an instant selector.</summary>
    private static string ReadSelector(ConfigSection section, string key)
    {
        string text = section.RequiredText(key);
        if (text.Length == 0)
            return "";
        ParseResult parsed = PromQlParser.Parse(text);
        if (parsed.Expr is VectorSelector { Offset: null, At.Kind: AtKind.None } selector)
            return selector.ToString();
        section.Error(key, parsed.Expr is null ? $"could not parse expression: {parsed.Errors[0]}" : "must be a metric with its labels, such as orders_total{shop=\"north\"}; window and sum are added to it");
        return "";
    }
}
