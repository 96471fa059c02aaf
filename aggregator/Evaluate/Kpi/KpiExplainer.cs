using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi;

/// <summary>A series with its value at a time.</summary>
/// <param name="Labels">The series.</param>
/// <param name="Value">Its value.</param>
public sealed record SeriesValue(Labels Labels, double Value);

/// <summary>One part of a KPI's value.</summary>
public sealed record KpiPart
{
    /// <summary>The input's name; of an expression: the part's own text.</summary>
    public required string Name { get; init; }

    /// <summary>PromQL of the part.</summary>
    public required string Expression { get; init; }

    /// <summary>Its value by series.</summary>
    public IReadOnlyList<SeriesValue> Values { get; init; } = [];

    /// <summary>Its share from 0 to 1, of an index; null else.</summary>
    public double? Share { get; init; }

    /// <summary>What it adds to the KPI; the contributions of an index sum up to its value. Null: parts of an expression are not added up.</summary>
    public double? Contribution { get; init; }

    /// <summary>Its weight in an index.</summary>
    public double? Weight { get; init; }

    /// <summary>What is aggregated in it, by series: for a sum each is its contribution.</summary>
    public IReadOnlyList<SeriesValue> Members { get; init; } = [];

    /// <summary>How many series it reads.</summary>
    public int SeriesRead { get; init; }

    /// <summary>Whether it has no value.</summary>
    public bool IsAbsent => Values.Count == 0;

    /// <summary>How complete its sources are.</summary>
    public Coverage Coverage { get; init; }
}

/// <summary>Why a KPI has the value that it has at a time.</summary>
public sealed record KpiExplanation
{
    /// <summary>The definition that made it.</summary>
    public required KpiVersion Version { get; init; }

    /// <summary>The step whose value it is, Unix ms.</summary>
    public long StepMs { get; init; }

    /// <summary>The recorded values.</summary>
    public IReadOnlyList<SeriesValue> Recorded { get; init; } = [];

    /// <summary>The values that the rules give now, from the data of that time as it is now.</summary>
    public IReadOnlyList<SeriesValue> Recomputed { get; init; } = [];

    /// <summary>What it is made of.</summary>
    public IReadOnlyList<KpiPart> Parts { get; init; } = [];

    /// <summary>How complete all its sources are.</summary>
    public Coverage Coverage { get; init; }

    /// <summary>The oldest time that it reads, Unix ms.</summary>
    public long ReadsFromMs { get; init; }

    /// <summary>Why something could not be evaluated, or empty.</summary>
    public string Error { get; init; } = "";
}

/// <summary>Explains values from the rules that made them and the data that is stored. Thread-safe.</summary>
/// <param name="engine">Evaluates.</param>
/// <param name="reader">The data.</param>
/// <param name="coverage">How complete the data is.</param>
/// <param name="recording">The KPI that recorded a metric at a time, or null (<see cref="KpiBook.Recording"/>).</param>
public sealed class KpiExplainer(PromQlEngine engine, ISeriesReader reader, ICoverageSource coverage, Func<string, long, KpiVersion?> recording)
{
    /// <summary>Series told of one part at most.</summary>
    public const int SeriesMax = 100;

    /// <summary>Parts told of one expression at most.</summary>
    public const int PartsMax = 100;

    /// <summary>Series looked at for coverage at most.</summary>
    public const int CoverageSeriesMax = 10_000;

    /// <summary>Explains the value of a time by the version that made it.</summary>
    public KpiExplanation Explain(KpiVersion version, long timeMs, CancellationToken cancellation)
    {
        long step = version.IntervalMs <= 0 ? timeMs : timeMs - (((timeMs % version.IntervalMs) + version.IntervalMs) % version.IntervalMs);
        step = RecordedStep(version.Record, step, cancellation);
        var sources = new HashSet<Labels>();
        long from = step;
        List<KpiPart> parts = version.Inputs.Count > 0 ? Inputs(version, step, sources, ref from, cancellation) : ExpressionParts(version.Expression, step, sources, ref from, cancellation);
        QueryResult again = engine.Instant(reader, version.Expression.Length > 0 ? version.Expression : version.Record, step, cancellation);
        return new KpiExplanation
        {
            Version = version,
            StepMs = step,
            Recorded = Values(engine.Instant(reader, version.Record, step, cancellation)),
            Recomputed = Values(again),
            Parts = parts,
            Coverage = coverage.Of(sources, from, step, cancellation),
            ReadsFromMs = from,
            Error = again.Error?.Message ?? "",
        };
    }

    /// <summary>The step of the newest recorded value: that of now may still be under way.</summary>
    private long RecordedStep(string record, long step, CancellationToken cancellation)
    {
        List<SeriesValue> times = Values(engine.Instant(reader, $"timestamp({record})", step, cancellation));
        return times.Count == 0 ? step : (long)Math.Round(times.Max(t => t.Value) * 1000);
    }

    private List<KpiPart> Inputs(KpiVersion version, long step, HashSet<Labels> sources, ref long from, CancellationToken cancellation)
    {
        var parts = new List<KpiPart>();
        for (int i = 0; i < version.Inputs.Count; i++)
        {
            string selector = $"{{input={new StringLiteral(version.Inputs[i])}}}";
            var own = new HashSet<Labels>();
            long first = step;
            if (PromQlParser.Parse(version.InputExpressions[i]).Expr is { } expr)
                Sources(expr, step, new Reading(own, []), ref first, cancellation);
            parts.Add(new KpiPart
            {
                Name = version.Inputs[i],
                Expression = version.InputExpressions[i],
                Weight = version.InputWeights[i],
                Values = Values(engine.Instant(reader, version.InputExpressions[i], step, cancellation)),
                Share = One(Values(engine.Instant(reader, $"{version.Record}:share{selector}", step, cancellation))),
                Contribution = One(Values(engine.Instant(reader, $"{version.Record}:contribution{selector}", step, cancellation))),
                SeriesRead = own.Count,
                Coverage = coverage.Of(own, first, step, cancellation),
            });
            sources.UnionWith(own);
            from = Math.Min(from, first);
        }
        return parts;
    }

    private List<KpiPart> ExpressionParts(string expression, long step, HashSet<Labels> sources, ref long from, CancellationToken cancellation)
    {
        var parts = new List<KpiPart>();
        if (PromQlParser.Parse(expression).Expr is not { } root)
            return parts;
        foreach (Expr part in Operands(root).DistinctBy(e => e.ToString()).Take(PartsMax))
        {
            var own = new HashSet<Labels>();
            long first = step;
            Sources(part, step, new Reading(own, []), ref first, cancellation);
            parts.Add(new KpiPart
            {
                Name = part.ToString(),
                Expression = part.ToString(),
                Values = Values(engine.Instant(reader, part.ToString(), step, cancellation)),
                Members = part is AggregateExpr aggregate ? Values(engine.Instant(reader, aggregate.Inner.ToString(), step, cancellation)) : [],
                SeriesRead = own.Count,
                Coverage = coverage.Of(own, first, step, cancellation),
            });
            sources.UnionWith(own);
            from = Math.Min(from, first);
        }
        return parts;
    }

    /// <summary>The outermost aggregations and calls that read series: what arithmetic joins.</summary>
    private static IEnumerable<Expr> Operands(Expr expr) => expr switch
    {
        ParenExpr paren => Operands(paren.Inner),
        UnaryExpr unary => Operands(unary.Operand),
        CallExpr { Function.Name: "round" } round => Operands(round.Arguments[0]),
        BinaryExpr binary => Operands(binary.Left).Concat(Operands(binary.Right)),
        _ => ExprWalk.Selectors(expr).Any() ? [expr] : [],
    };

    /// <summary>The series that an expression reads at a step, and the oldest time of them. A KPI among them stands for its own sources.</summary>
    private void Sources(Expr expr, long step, Reading reading, ref long from, CancellationToken cancellation)
    {
        foreach ((VectorSelector selector, long first, long last) in Reach(expr, step, step))
        {
            string metric = ExprWalk.MetricOf(selector);
            if (recording(metric, step) is { } kpi && reading.Kpis.Add(kpi.Name))
            {
                foreach (string text in kpi.Expression.Length > 0 ? [kpi.Expression] : kpi.InputExpressions)
                {
                    if (PromQlParser.Parse(text).Expr is { } inner)
                        Sources(inner, step, reading, ref from, cancellation);
                }
                continue;
            }
            using ISeriesSet set = reader.Select(first, last, [.. selector.Matchers], cancellation);
            for (int i = 0; i < set.Count && reading.Series.Count < CoverageSeriesMax; i++)
                reading.Series.Add(set.LabelsAt(i));
            from = Math.Min(from, first);
        }
    }

    private static IEnumerable<(VectorSelector Selector, long FirstMs, long LastMs)> Reach(Expr expr, long fromMs, long toMs)
    {
        switch (expr)
        {
            case MatrixSelector matrix:
                long range = matrix.Range.ResolveMs(60_000, 60_000, out _) ?? 0, moved = matrix.Selector.Offset?.ResolveMs(60_000, 60_000, out _) ?? 0;
                return [(matrix.Selector, fromMs - moved - range, toMs - moved)];
            case VectorSelector selector:
                long offset = selector.Offset?.ResolveMs(60_000, 60_000, out _) ?? 0;
                return [(selector, fromMs - offset - 300_000, toMs - offset)];
            case SubqueryExpr subquery:
                long width = subquery.Range.ResolveMs(60_000, 60_000, out _) ?? 0, back = subquery.Offset?.ResolveMs(60_000, 60_000, out _) ?? 0;
                return Reach(subquery.Inner, fromMs - back - width, toMs - back);
            default:
                return ExprWalk.Children(expr).SelectMany(c => Reach(c, fromMs, toMs));
        }
    }

    private static double? One(List<SeriesValue> values) => values.Count == 1 ? values[0].Value : null;

    private static List<SeriesValue> Values(QueryResult result) => result.Type == PromQl.ValueType.Scalar
        ? [new SeriesValue(Labels.Empty, result.Scalar.Value)]
        : [.. result.Series.Where(s => s.Points.Count > 0).Take(SeriesMax).Select(s => new SeriesValue(WithoutName(s.Labels), s.Points[^1].Value))];

    private static Labels WithoutName(Labels labels) => new LabelsBuilder(labels).Remove(LabelNames.MetricName).Build();

    /// <summary>What has been found: series, and KPIs that were looked through.</summary>
    private sealed record Reading(HashSet<Labels> Series, HashSet<string> Kpis);
}
