using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>The experimental info(): adds the data labels of info metrics to series with the same job and instance.</content>
internal sealed partial class Evaluator
{
    private static readonly string[] _identifying = [LabelNames.Instance, LabelNames.Job];

    private EvalValue? Info(CallExpr c, Grid grid)
    {
        if (Eval(c.Arguments[0], grid) is not { } bases)
            return null;
        IReadOnlyList<LabelMatcher> given = c.Arguments.Count > 1 ? ((VectorSelector)c.Arguments[1]).Matchers : [];
        List<LabelMatcher> names = [.. given.Where(m => m.Name == LabelNames.MetricName)];
        List<LabelMatcher> data = [.. given.Where(m => m.Name != LabelNames.MetricName)];
        if (names.Count == 0)
            names.Add(new LabelMatcher(MatchType.Equal, LabelNames.MetricName, "target_info"));
        bool hasPositive = names.Exists(m => m.Type is MatchType.Equal or MatchType.Regex);
        bool IsInfo(Labels labels) => hasPositive
            ? names.TrueForAll(m => m.Matches(labels))
            : false;
        var matchers = new List<LabelMatcher>(names);
        matchers.AddRange(data.Where(m => !m.MatchesEmpty));
        if (!hasPositive)
            matchers.Add(new LabelMatcher(MatchType.Regex, LabelNames.MetricName, ".+_info"));
        VectorSelector like = FirstSelector(c.Arguments[0]);
        // Of an info metric's series the one with the newest sample counts: a label that changed made a new series, and the old one is seen until the lookback ends.
        var selector = new VectorSelector("", matchers) { At = like.At, Offset = like.Offset, Span = c.Span };
        if (Select(selector, grid, PointValue.Timestamp) is not { } infos)
            return null;
        return Enrich(c, grid, bases.Series, infos.Series, data, IsInfo);
    }

    /// <param name="infos">The info metrics' series, with the times of their samples as values.</param>
    private EvalValue? Enrich(CallExpr c, Grid grid, List<EvalSeries> bases, List<EvalSeries> infos, List<LabelMatcher> data, Func<Labels, bool> isInfo)
    {
        bool mayBeMissing = data.TrueForAll(m => m.MatchesEmpty);
        var wanted = new HashSet<string>(data.Select(m => m.Name));
        var result = new List<EvalSeries>(bases.Count);
        foreach (EvalSeries source in bases)
        {
            if (Stopped(c))
                return null;
            if (isInfo(source.Labels))
            {
                result.Add(source);
                continue;
            }
            List<EvalSeries> partners = infos.FindAll(s => Array.TrueForAll(_identifying, l => s.Labels.Get(l) == source.Labels.Get(l)));
            var byLabels = new Dictionary<Labels, EvalSeries>();
            for (int i = 0; i < grid.Count; i++)
            {
                if (!source.Has(i))
                    continue;
                Labels? labels = EnrichedLabels(c, source.Labels, partners, i, wanted, mayBeMissing);
                if (Error is not null)
                    return null;
                if (labels is null)
                    continue;
                if (!byLabels.TryGetValue(labels, out EvalSeries? into))
                {
                    into = new EvalSeries(labels, grid.Count) { DropName = source.DropName };
                    byLabels.Add(labels, into);
                    result.Add(into);
                }
                into.Set(i, source.Values[i], source.HistogramAt(i));
            }
        }
        return Unique(result, c, false);
    }

    private Labels? EnrichedLabels(CallExpr c, Labels source, List<EvalSeries> partners, int i, HashSet<string> wanted, bool mayBeMissing)
    {
        var builder = new LabelsBuilder(source);
        bool matched = false;
        foreach (EvalSeries info in partners)
        {
            if (!info.Has(i))
                continue;
            matched = true;
            if (partners.Exists(other => IsSame(other, info) && other.Values[i] > info.Values[i]))
                continue;
            if (partners.Exists(other => other != info && IsSame(other, info) && other.Values[i] == info.Values[i]))
            {
                FailBool($"found duplicate series for info metric {GoText.Quote(info.Labels.MetricName)}", c.Span);
                return null;
            }
            foreach (ref readonly Label label in info.Labels.AsSpan())
            {
                if (label.Name == LabelNames.MetricName || source.TryGet(label.Name, out _) || (wanted.Count > 0 && !wanted.Contains(label.Name)))
                    continue;
                string before = builder.Get(label.Name);
                if (before.Length > 0 && before != label.Value)
                {
                    FailBool($"conflicting label: {label.Name}", c.Span);
                    return null;
                }
                builder.Set(label.Name, label.Value);
            }
        }
        return matched || mayBeMissing ? builder.Build() : null;

        bool IsSame(EvalSeries a, EvalSeries b) => a.Has(i) && a.Labels.MetricName == b.Labels.MetricName;
    }

    private static VectorSelector FirstSelector(Expr expr) => expr switch
    {
        VectorSelector v => v,
        ParenExpr p => FirstSelector(p.Inner),
        UnaryExpr u => FirstSelector(u.Operand),
        MatrixSelector m => m.Selector,
        SubqueryExpr q => FirstSelector(q.Inner),
        AggregateExpr a => FirstSelector(a.Inner),
        BinaryExpr b => b.Left.Type == ValueType.Vector ? FirstSelector(b.Left) : FirstSelector(b.Right),
        CallExpr c when c.Arguments.FirstOrDefault(a => a.Type is ValueType.Vector or ValueType.Matrix) is { } inner => FirstSelector(inner),
        _ => new VectorSelector("", []),
    };
}
