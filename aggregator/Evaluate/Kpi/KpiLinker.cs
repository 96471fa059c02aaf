using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// Joins the KPIs of all files: 1. names are unique; 2. inputs are found and become shares; 3. who reads whom, and no circle; 4. units go together; 5. rules, those of KPIs that read each
/// other in one group, in the order in which they need each other. Where some definitions are faulty in themselves, the others are checked all the same, as far as they do not rest on those.
/// </summary>
internal sealed class KpiLinker
{
    private readonly List<KpiDraft> _drafts;
    private readonly bool _isWhole;
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _byRecord = new(StringComparer.Ordinal);
    private readonly List<HashSet<int>> _reads = [];

    /// <param name="drafts">The KPIs as they were read.</param>
    /// <param name="isWhole">Whether the names of all definitions are known: only then one can be missing.</param>
    public KpiLinker(List<KpiDraft> drafts, bool isWhole)
    {
        _drafts = drafts;
        _isWhole = isWhole;
    }

    /// <summary>The groups of rules; errors are noted at the sections.</summary>
    public IReadOnlyList<RuleGroupDefinition> Link()
    {
        if (_drafts.Count == 0)
            return [];
        if (_drafts.Count > KpiLimits.KpisMax)
        {
            _drafts[0].Section.Error($"there are {_drafts.Count} KPIs; at most {KpiLimits.KpisMax} are taken");
            return [];
        }
        bool areNamed = Names();
        for (int i = 0; i < _drafts.Count; i++)
            ResolveInputs(i);
        for (int i = 0; i < _drafts.Count; i++)
            _reads.Add(ReadBy(i));
        // With a name that is there twice it is not known who reads whom.
        if (!areNamed || !NoCircle())
            return [];
        for (int i = 0; i < _drafts.Count; i++)
        {
            if (!StandsOnFaulty(i))
                CheckUnits(i);
        }
        CheckIntervals();
        var rules = new List<List<RuleDefinition>>();
        for (int i = 0; i < _drafts.Count; i++)
            rules.Add(StandsOnFaulty(i) ? [] : new KpiCompiler(_drafts[i], name => _drafts[_byName[name]].Definition, RecordBy).Rules());
        return HasErrors ? [] : Groups(rules);
    }

    private bool HasErrors => _drafts.Exists(d => d.Section.Reading.Errors.Count > 0);

    private bool StandsOnFaulty(int at) => _drafts[at].IsFaulty || _reads[at].Any(other => _drafts[other].IsFaulty) || _drafts[at].Definition.Index?.Inputs.Any(i => i.Kpi.Length > 0 && !_byName.ContainsKey(i.Kpi)) == true;

    private bool Names()
    {
        bool good = true;
        for (int i = 0; i < _drafts.Count; i++)
        {
            KpiDefinition kpi = _drafts[i].Definition;
            if (kpi.Name.Length == 0)
                continue;
            if (!_byName.TryAdd(kpi.Name, i))
            {
                KpiDefinition first = _drafts[_byName[kpi.Name]].Definition;
                _drafts[i].Section.Error("name", $"the KPI '{kpi.Name}' is there already: {first.File}:{first.Line}");
                good = false;
            }
            foreach (string record in KpiCompiler.Records(kpi))
            {
                // What a faulty one would record is a guess.
                if (_byRecord.TryAdd(record, i) || _drafts[i].IsFaulty || _drafts[_byRecord[record]].IsFaulty)
                    continue;
                _drafts[i].Section.Error("record", $"'{record}' is recorded by the KPI '{_drafts[_byRecord[record]].Definition.Name}' already");
                good = false;
            }
        }
        return good;
    }

    private void CheckIntervals()
    {
        for (int i = 0; i < _drafts.Count; i++)
        {
            KpiDraft draft = _drafts[i];
            foreach (KpiDefinition other in _reads[i].Where(o => !draft.IsFaulty && !_drafts[o].IsFaulty).Select(o => _drafts[o].Definition).Where(o => o.Interval != draft.Definition.Interval))
                draft.Section.Error("interval", $"'{draft.Definition.Name}' reads '{other.Name}', which has another interval; give both the same");
        }
    }

    private void ResolveInputs(int at)
    {
        KpiDraft draft = _drafts[at];
        if (draft.Definition.Index is not { } index)
            return;
        int before = draft.Section.Reading.Errors.Count;
        var inputs = new List<KpiInput>();
        for (int i = 0; i < index.Inputs.Count; i++)
            inputs.Add(ResolveInput(index.Inputs[i], draft.Inputs[i], index.IsSum || draft.IsFaulty));
        _drafts[at] = draft with { Definition = draft.Definition with { Index = index with { Inputs = [.. inputs] } }, IsFaulty = draft.IsFaulty || draft.Section.Reading.Errors.Count > before };
    }

    private KpiInput ResolveInput(KpiInput input, ConfigSection section, bool asItIs)
    {
        KpiDefinition? kpi = null;
        if (input.Kpi.Length > 0)
        {
            if (!_byName.TryGetValue(input.Kpi, out int at))
            {
                string? near = NearestWord.Find(input.Kpi, _byName.Keys);
                if (_isWhole)
                    section.Error("kpi", $"there is no KPI '{input.Kpi}'{(near is null ? "" : $"; did you mean '{near}'?")}");
                return input;
            }
            kpi = _drafts[at].Definition;
            asItIs |= _drafts[at].IsFaulty;
            input = input with { Expression = kpi.Record, Unit = kpi.Unit };
            if (input.Normalisation is Normalisation.Target && !section.Section("normalise").Has("direction"))
                input = input with { Direction = kpi.Direction };
        }
        if (asItIs || input.Normalisation != Normalisation.None)
            return input;
        switch (Unit.Parse(input.Unit).Canonical)
        {
            case "ratio":
                return input with { Normalisation = Normalisation.Share };
            case "percent":
                return input with { Normalisation = Normalisation.Percent };
        }
        if (kpi?.Target is { } target && !Numbers.Is(target, 0))
            return input with { Normalisation = Normalisation.Target, To = target, Direction = kpi.Direction };
        section.Error("normalise", $"is missing: '{input.Id}'{(input.Unit.Length > 0 ? $" in {input.Unit}" : "")} is no share; write {{from: .., to: ..}} or {{target: .., direction: ..}}");
        return input;
    }

    /// <summary>The KPIs that a KPI reads at its own time; what it reads of the past (offset) is no dependence.</summary>
    private HashSet<int> ReadBy(int at)
    {
        var reads = new HashSet<int>();
        KpiDefinition kpi = _drafts[at].Definition;
        foreach (string text in Expressions(kpi))
        {
            if (PromQlParser.Parse(text).Expr is not { } expr)
                continue;
            var ranges = new HashSet<VectorSelector>(ExprWalk.All(expr).OfType<MatrixSelector>().Select(m => m.Selector), ReferenceEqualityComparer.Instance);
            foreach (VectorSelector selector in ExprWalk.Selectors(expr))
            {
                if (!_byRecord.TryGetValue(ExprWalk.MetricOf(selector), out int other))
                    continue;
                bool past = selector.Offset?.ResolveMs(60_000, 60_000, out _) is > 0;
                if (!past && !(other == at && ranges.Contains(selector)))
                    reads.Add(other);
            }
        }
        return reads;
    }

    private static IEnumerable<string> Expressions(KpiDefinition kpi) =>
        [.. kpi.Expression.Length > 0 ? [kpi.Expression] : Array.Empty<string>(), .. kpi.Exact?.Reconcile is { } r ? [r.Expression] : Array.Empty<string>(), .. kpi.BreakDowns.Select(b => b.Value), .. kpi.Index?.Inputs.Select(i => i.Expression) ?? []];

    private bool NoCircle()
    {
        var state = new int[_drafts.Count];
        var path = new List<int>();
        bool good = true;
        for (int i = 0; i < _drafts.Count; i++)
            good &= _drafts[i].IsFaulty || Visit(i);
        return good;

        bool Visit(int at)
        {
            if (state[at] == 2)
                return true;
            if (state[at] == 1)
            {
                string circle = string.Join(" → ", path.SkipWhile(p => p != at).Append(at).Select(p => _drafts[p].Definition.Name));
                _drafts[at].Section.Error($"reads itself: {circle}; let one of them read the past (offset), or leave one out");
                return false;
            }
            state[at] = 1;
            path.Add(at);
            bool fine = true;
            foreach (int next in _reads[at].Where(n => !_drafts[n].IsFaulty).Order())
                fine &= Visit(next);
            path.RemoveAt(path.Count - 1);
            state[at] = 2;
            return fine;
        }
    }

    private void CheckUnits(int at)
    {
        KpiDraft draft = _drafts[at];
        KpiDefinition kpi = draft.Definition;
        if (kpi.Index is { } index)
        {
            for (int i = 0; i < index.Inputs.Count; i++)
                CheckExpressionUnit(draft.Inputs[i], "expr", index.Inputs[i].Kpi.Length > 0 ? "" : index.Inputs[i].Expression, index.Inputs[i].Unit);
            if (index.IsSum)
                CheckSum(draft, index);
            return;
        }
        CheckExpressionUnit(draft.Section, kpi.Exact is not null ? "exact" : draft.Ratio is null ? "expr" : "ratio", kpi.Expression, kpi.Unit);
        if (kpi.Exact?.Reconcile is { } reconcile)
            CheckExpressionUnit(draft.Section, "reconcile", reconcile.Expression, kpi.Unit);
    }

    private void CheckExpressionUnit(ConfigSection section, string key, string expression, string unit)
    {
        if (expression.Length == 0 || PromQlParser.Parse(expression).Expr is not { } expr)
            return;
        var check = new UnitCheck(metric => _byRecord.TryGetValue(metric, out int at) && !_drafts[at].IsFaulty && KpiCompiler.IsInUnit(_drafts[at].Definition, metric) ? _drafts[at].Definition.Unit : null);
        Dimension? found = check.Of(expr);
        if (check.Problem is { } problem)
            section.Error(key, $"units do not go together: {problem}");
        else if (unit.Length > 0 && found is { } dimension && !UnitCheck.Fits(Unit.Parse(unit), dimension))
            section.Error(key, $"units do not go together: the expression gives {dimension}, the unit says {unit}");
    }

    private static void CheckSum(KpiDraft draft, KpiIndex index)
    {
        string own = draft.Definition.Unit;
        for (int i = 0; i < index.Inputs.Count; i++)
        {
            KpiInput input = index.Inputs[i], first = index.Inputs[0];
            if (Unit.Parse(input.Unit).Canonical != Unit.Parse(first.Unit).Canonical)
                draft.Inputs[i].Error($"units do not go together: '{first.Id}' is in {Word(first.Unit)}, '{input.Id}' in {Word(input.Unit)}; convert one, or use method: weighted_mean with normalise");
            else if (i == 0 && own.Length > 0 && Unit.Parse(input.Unit).Canonical != Unit.Parse(own).Canonical)
                draft.Section.Error("unit", $"units do not go together: the inputs are in {Word(input.Unit)}, the unit says {own}");
        }
    }

    private static string Word(string unit) => unit.Length > 0 ? unit : "plain numbers";

    /// <summary>The record of the KPI behind a metric, by labels; null: that KPI has none; empty: the metric is no KPI.</summary>
    private string? RecordBy(string metric, IReadOnlyList<string> labels)
    {
        if (!_byRecord.TryGetValue(metric, out int at) || _drafts[at].Definition.Record != metric)
            return "";
        KpiDefinition kpi = _drafts[at].Definition;
        string record = kpi.Record + BreakDown.Suffix(labels);
        return KpiCompiler.Records(kpi).Contains(record) ? record : null;
    }

    private List<RuleGroupDefinition> Groups(List<List<RuleDefinition>> rules)
    {
        int[] family = [.. Enumerable.Range(0, _drafts.Count)];
        for (int i = 0; i < _drafts.Count; i++)
        {
            foreach (int other in _reads[i])
                family[Root(i)] = Root(other);
        }
        var groups = new List<RuleGroupDefinition>();
        foreach (IGrouping<int, int> members in Enumerable.Range(0, _drafts.Count).GroupBy(Root))
            groups.Add(Group([.. members], rules));
        return groups;

        int Root(int at)
        {
            while (family[at] != at)
                at = family[at];
            return at;
        }
    }

    private RuleGroupDefinition Group(List<int> members, List<List<RuleDefinition>> rules)
    {
        var ordered = new List<int>();
        foreach (int member in members)
            Place(member);
        // The family is named after the KPI that nobody reads: it is what the others are there for.
        int head = members.First(m => !members.Any(o => _reads[o].Contains(m)));
        KpiDefinition kpi = _drafts[head].Definition;
        return new RuleGroupDefinition
        {
            Name = kpi.Name,
            File = kpi.File,
            Interval = kpi.Interval,
            Limit = members.Max(m => _drafts[m].Definition.SeriesMax),
            Rules = [.. ordered.SelectMany(m => rules[m])],
        };

        void Place(int at)
        {
            if (ordered.Contains(at))
                return;
            foreach (int other in _reads[at].Order())
                Place(other);
            ordered.Add(at);
        }
    }
}
