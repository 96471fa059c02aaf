using System.Text;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <content>Binary operators. Match keys are made once per series and numbered; then every step is matched by number.</content>
internal sealed partial class Evaluator
{
    private EvalValue? Binary(BinaryExpr b, Grid grid)
    {
        EvalValue? left = Eval(b.Left, grid);
        EvalValue? right = left is null ? null : Eval(b.Right, grid);
        if (left is null || right is null)
            return null;
        if (left.Type == ValueType.Scalar && right.Type == ValueType.Scalar)
        {
            var result = new double[grid.Count];
            for (int i = 0; i < grid.Count; i++)
                result[i] = BinaryOperators.Scalar(b.Op, left.Scalars[i], right.Scalars[i]);
            return EvalValue.OfScalars(result);
        }
        if (left.Type == ValueType.Scalar)
            return WithScalar(b, right.Series, left.Scalars, true, grid);
        if (right.Type == ValueType.Scalar)
            return WithScalar(b, left.Series, right.Scalars, false, grid);
        if (b.Matching!.Cardinality == MatchCardinality.ManyToMany)
            return SetOperation(b, left.Series, right.Series, grid);
        return Matched(b, left.Series, right.Series, grid);
    }

    /// <summary>Whether what an operator leaves is still of the same metric: what compares or cuts off changes no meaning.</summary>
    private static bool KeepsName(string op) => BinaryOperators.IsComparison(op) || op is "</" or ">/";

    private EvalValue? WithScalar(BinaryExpr b, List<EvalSeries> series, double[] scalars, bool scalarLeft, Grid grid)
    {
        bool comparison = BinaryOperators.IsComparison(b.Op);
        bool dropsName = b.ReturnBool || !KeepsName(b.Op);
        var result = new List<EvalSeries>(series.Count);
        foreach (EvalSeries source in series)
        {
            EvalSeries into = dropsName ? Renamed(source, grid.Count) : new EvalSeries(source.Labels, grid.Count) { DropName = source.DropName };
            if (!_options.Plain && source.Histograms is null && b.Op is not ("</" or ">/"))
            {
                if (ColumnOperators.WithScalar(b, source.Values, scalars, scalarLeft, into.Values))
                    result.Add(into);
                continue;
            }
            bool any = false;
            for (int i = 0; i < grid.Count; i++)
            {
                if (!source.Has(i))
                    continue;
                var vector = new Operand(source.Values[i], source.HistogramAt(i));
                var scalar = new Operand(scalars[i], null);
                bool kept = BinaryOperators.Apply(b, scalarLeft ? scalar : vector, scalarLeft ? vector : scalar, _notes, out Operand value, out bool valid);
                if (!valid || (comparison && !b.ReturnBool && !kept))
                    continue;
                if (comparison)
                    value = b.ReturnBool ? new Operand(kept ? 1 : 0, null) : vector;
                into.Set(i, value.Float, value.Histogram);
                any = true;
            }
            if (any)
                result.Add(into);
        }
        return dropsName ? Unique(result, b, false) : EvalValue.OfSeries(result);
    }

    /// <summary>Numbers the match keys of both sides.</summary>
    private static (int[] Left, int[] Right, int Count) MatchKeys(VectorMatching m, List<EvalSeries> left, List<EvalSeries> right)
    {
        var numbers = new Dictionary<Labels, int>();
        var keys = new GroupKeys(m.On, m.Labels);
        int[] Numbers(List<EvalSeries> side)
        {
            var result = new int[side.Count];
            for (int s = 0; s < side.Count; s++)
            {
                Labels key = keys.Of(side[s].Labels);
                if (!numbers.TryGetValue(key, out int number))
                    numbers.Add(key, number = numbers.Count);
                result[s] = number;
            }
            return result;
        }
        int[] l = Numbers(left), r = Numbers(right);
        return (l, r, numbers.Count);
    }

    private static EvalValue SetOperation(BinaryExpr b, List<EvalSeries> left, List<EvalSeries> right, Grid grid)
    {
        (int[] leftKeys, int[] rightKeys, int count) = MatchKeys(b.Matching!, left, right);
        bool or = b.Op == "or";
        // Which keys one side has at each step: the right side's for and/unless, the left side's for or.
        var present = new bool[count];
        List<EvalSeries> markers = or ? left : right, filtered = or ? right : left;
        int[] markerKeys = or ? leftKeys : rightKeys, filteredKeys = or ? rightKeys : leftKeys;
        var kept = filtered.ConvertAll(f => new EvalSeries(f.Labels, grid.Count) { DropName = f.DropName });
        for (int i = 0; i < grid.Count; i++)
        {
            Array.Clear(present);
            for (int s = 0; s < markers.Count; s++)
                present[markerKeys[s]] |= markers[s].Has(i);
            for (int s = 0; s < filtered.Count; s++)
            {
                if (filtered[s].Has(i) && present[filteredKeys[s]] == (b.Op == "and"))
                    kept[s].Set(i, filtered[s].Values[i], filtered[s].HistogramAt(i));
            }
        }
        kept.RemoveAll(k => k.IsEmpty);
        if (!or)
            return EvalValue.OfSeries(kept);
        return EvalValue.OfSeries(MergeSides(left, kept));
    }

    /// <summary>The left side's series, then the right side's; the same series on both sides becomes one column.</summary>
    private static List<EvalSeries> MergeSides(List<EvalSeries> left, List<EvalSeries> right)
    {
        var result = new List<EvalSeries>(left.Count + right.Count);
        var places = new Dictionary<Labels, int>(left.Count);
        foreach (EvalSeries one in left)
        {
            places.TryAdd(one.Labels, result.Count);
            result.Add(one);
        }
        foreach (EvalSeries one in right)
        {
            if (!places.TryGetValue(one.Labels, out int at) || (result[at] is var same && (same.DropName != one.DropName || Overlap(same, one))))
            {
                result.Add(one);
                continue;
            }
            var merged = new EvalSeries(same.Labels, same.DropName, (double[])same.Values.Clone(), (NativeHistogram?[]?)same.Histograms?.Clone());
            for (int i = 0; i < one.Values.Length; i++)
            {
                if (one.Has(i))
                    merged.Set(i, one.Values[i], one.HistogramAt(i));
            }
            result[at] = merged;
        }
        return result;
    }

    private static bool Overlap(EvalSeries a, EvalSeries b)
    {
        for (int i = 0; i < a.Values.Length; i++)
        {
            if (a.Has(i) && b.Has(i))
                return true;
        }
        return false;
    }

    private EvalValue? Matched(BinaryExpr b, List<EvalSeries> left, List<EvalSeries> right, Grid grid)
    {
        VectorMatching m = b.Matching!;
        bool swapped = m.Cardinality == MatchCardinality.OneToMany;
        (List<EvalSeries> many, List<EvalSeries> one) = swapped ? (right, left) : (left, right);
        // Nothing to match: what would be ambiguous does not matter.
        bool fills = m.FillLeft is not null || m.FillRight is not null;
        if (!fills && (many.Count == 0 || one.Count == 0))
            return EvalValue.OfSeries([]);
        (int[] manyKeys, int[] oneKeys, int count) = MatchKeys(m, many, one);
        if (!_options.Plain && MatchedColumns(b, many, one, manyKeys, oneKeys, count, grid) is { } columns)
            return columns;
        var match = new MatchRun(b, grid, swapped ? m.FillRight : m.FillLeft, swapped ? m.FillLeft : m.FillRight, swapped, count);
        var oneAt = new int[count];
        var manyDone = new bool[count];
        for (int i = 0; i < grid.Count; i++)
        {
            if ((i & 63) == 0 && Stopped(b))
                return null;
            if (!fills && !many.Exists(x => x.Has(i)))
                continue;
            Array.Fill(oneAt, -1);
            Array.Clear(manyDone);
            for (int s = 0; s < one.Count; s++)
            {
                if (!one[s].Has(i))
                    continue;
                if (oneAt[oneKeys[s]] >= 0)
                    return DuplicateOneSide(b, one[oneAt[oneKeys[s]]].Labels, one[s].Labels);
                oneAt[oneKeys[s]] = s;
            }
            match.StartStep();
            for (int s = 0; s < many.Count; s++)
            {
                if (!many[s].Has(i))
                    continue;
                int key = manyKeys[s], partner = oneAt[key];
                if (partner < 0 && match.FillOne is null)
                    continue;
                if (!Pair(match, i, s, many[s], partner < 0 ? null : one[partner], key, manyDone))
                    return null;
            }
            for (int s = 0; match.FillMany is not null && s < one.Count; s++)
            {
                if (one[s].Has(i) && !manyDone[oneKeys[s]] && !Pair(match, i, many.Count + s, null, one[s], oneKeys[s], manyDone))
                    return null;
            }
        }
        match.Result.RemoveAll(r => r.Column.IsEmpty);
        // By the series of the many side, whichever step came first.
        return EvalValue.OfSeries([.. match.Result.OrderBy(r => r.Order).Select(r => r.Column)]);
    }

    /// <summary>The state of one operation between vectors while it runs.</summary>
    private sealed class MatchRun(BinaryExpr expr, Grid grid, double? fillMany, double? fillOne, bool swapped, int keys)
    {
        private readonly Dictionary<(EvalSeries? Many, EvalSeries? One), EvalSeries> _byPair = [];
        private readonly Dictionary<(Labels, bool), int> _byLabels = [];

        public BinaryExpr Expr => expr;

        public Grid Grid => grid;

        public double? FillMany => fillMany;

        public double? FillOne => fillOne;

        public bool Swapped => swapped;

        public List<(EvalSeries Column, int Order)> Result { get; } = [];

        public HashSet<EvalSeries> AtThisStep { get; } = [];

        /// <summary>Keys that gave a result at this step.</summary>
        public bool[] Matched { get; } = new bool[keys];

        public void StartStep()
        {
            AtThisStep.Clear();
            Array.Clear(Matched);
        }

        public EvalSeries Column(EvalSeries? many, EvalSeries? one, int order, Func<Labels> labels, bool dropName)
        {
            if (_byPair.TryGetValue((many, one), out EvalSeries? column))
                return column;
            Labels result = labels();
            if (_byLabels.TryGetValue((result, dropName), out int at))
            {
                column = Result[at].Column;
                Result[at] = (column, Math.Min(Result[at].Order, order));
            }
            else
            {
                column = new EvalSeries(result, grid.Count) { DropName = dropName };
                _byLabels.Add((result, dropName), Result.Count);
                Result.Add((column, order));
            }
            _byPair.Add((many, one), column);
            return column;
        }
    }

    private bool Pair(MatchRun run, int i, int order, EvalSeries? many, EvalSeries? one, int key, bool[] manyDone)
    {
        BinaryExpr b = run.Expr;
        var manyValue = many is null ? new Operand(run.FillMany!.Value, null) : new Operand(many.Values[i], many.HistogramAt(i));
        var oneValue = one is null ? new Operand(run.FillOne!.Value, null) : new Operand(one.Values[i], one.HistogramAt(i));
        (Operand l, Operand r) = run.Swapped ? (oneValue, manyValue) : (manyValue, oneValue);
        bool comparison = BinaryOperators.IsComparison(b.Op);
        bool kept = BinaryOperators.Apply(b, l, r, _notes, out Operand value, out bool valid);
        bool oneToOne = b.Matching!.Cardinality == MatchCardinality.OneToOne;
        manyDone[key] = true;
        if (!valid)
            return true;
        if (oneToOne && run.Matched[key])
            return FailBool("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)", b.Span);
        run.Matched[key] = true;
        if (comparison && !b.ReturnBool && !kept)
            return true;
        if (comparison)
            value = b.ReturnBool ? new Operand(kept ? 1 : 0, null) : l;
        bool dropLater = _options.DelayedNameRemoval && (b.ReturnBool || (many ?? one)!.DropName);
        EvalSeries column = run.Column(many, one, order, () => ResultLabels(b, many, one), dropLater);
        if (!run.AtThisStep.Add(column) || column.Has(i))
            return FailBool(oneToOne
                ? "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                : "multiple matches for labels: grouping labels must ensure unique matches", b.Span);
        column.Set(i, value.Float, value.Histogram);
        return true;
    }

    private Labels ResultLabels(BinaryExpr b, EvalSeries? many, EvalSeries? one)
    {
        VectorMatching m = b.Matching!;
        var builder = new LabelsBuilder();
        if (many is null || m.Cardinality == MatchCardinality.OneToOne)
        {
            Labels source = (many ?? one)!.Labels;
            if (m.On)
                KeepInto(builder, source, m.Labels);
            else
                RemoveAll(builder.Reset(source), m.Labels);
            if (many is null)
                builder.Remove(LabelNames.MetricName);
        }
        else
        {
            builder.Reset(many.Labels);
        }
        foreach (string name in many is null ? [] : m.Include)
        {
            if (one is not null)
                builder.Set(name, one.Labels.Get(name));
        }
        bool drop = !KeepsName(b.Op) || (b.ReturnBool && !_options.DelayedNameRemoval);
        Labels labels = builder.Build();
        return drop ? WithoutName(labels) : labels;
    }

    private static void KeepInto(LabelsBuilder builder, Labels source, IReadOnlyList<string> names)
    {
        foreach (string name in names)
            builder.Set(name, source.Get(name));
    }

    private static void RemoveAll(LabelsBuilder builder, IReadOnlyList<string> names)
    {
        foreach (string name in names)
            builder.Remove(name);
    }

    private EvalValue? DuplicateOneSide(BinaryExpr b, Labels first, Labels second)
    {
        VectorMatching m = b.Matching!;
        Labels key = new GroupKeys(m.On, m.Labels).Of(first);
        if (first.CompareTo(second) > 0)
            (first, second) = (second, first);
        string side = m.Cardinality == MatchCardinality.OneToMany ? "left" : "right";
        return Fail<EvalValue>($"found duplicate series for the match group {Braced(key)} on the {side} hand-side of the operation: [{Braced(first)}, {Braced(second)}];many-to-many matching not allowed: matching labels must be unique on one side", b.Span);
    }

    /// <summary>A label set with all labels in braces, the name among them.</summary>
    private static string Braced(Labels labels)
    {
        var text = new StringBuilder("{");
        for (int i = 0; i < labels.Count; i++)
            text.Append(i > 0 ? ", " : "").Append(Printer.LabelText(labels[i].Name)).Append('=').Append(GoText.Quote(labels[i].Value));
        return text.Append('}').ToString();
    }
}
