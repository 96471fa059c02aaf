using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Makes the rules of one KPI: of an index its inputs' shares, their contributions and their sum; the value; its break-downs; target and state.</summary>
internal sealed partial class KpiCompiler(KpiDraft draft, Func<string, KpiDefinition> kpiNamed, Func<string, IReadOnlyList<string>, string?> recordBy)
{
    /// <summary>The metric of all targets, by label <c>kpi</c>.</summary>
    public const string TargetMetric = "kpi:target";

    /// <summary>The metric of all states, by label <c>kpi</c>: 0 healthy, 1 warning, 2 critical.</summary>
    public const string StateMetric = "kpi:state";

    /// <summary>The label that names an index's input.</summary>
    public const string InputLabel = "input";

    private readonly KpiDefinition _kpi = draft.Definition;
    private readonly List<RuleDefinition> _rules = [];

    /// <summary>All metrics that a KPI records under its own name.</summary>
    public static IEnumerable<string> Records(KpiDefinition kpi)
    {
        foreach (string record in kpi.By.Select(b => kpi.Record + BreakDown.Suffix(b)).Concat(kpi.BreakDowns.Select(b => kpi.Record + BreakDown.Suffix([b.Key]))).Prepend(kpi.Record))
        {
            yield return record;
            if (record == kpi.Record && kpi.Exact is { } exact)
            {
                foreach (string suffix in exact.Reconcile is null ? [KpiExact.PlainSuffix] : (string[])[KpiExact.PlainSuffix, KpiExact.LedgerSuffix, KpiExact.DifferenceSuffix, KpiExact.UnexplainedSuffix])
                    yield return record + suffix;
            }
            if (kpi.Index is null)
                continue;
            yield return record + ":share";
            yield return record + ":weight";
            yield return record + ":contribution";
        }
    }

    /// <summary>Whether one of these metrics is in the KPI's unit.</summary>
    public static bool IsInUnit(KpiDefinition kpi, string record) => kpi.Index is null || !(record.EndsWith(":share", StringComparison.Ordinal) || record.EndsWith(":weight", StringComparison.Ordinal));

    /// <summary>The rules, in the order in which they need each other. What cannot be broken down is noted as an error.</summary>
    public List<RuleDefinition> Rules()
    {
        AddValue(_kpi.Record, [], _kpi.Expression);
        if (_kpi.Exact is { } exact)
            AddExact(exact);
        foreach (ValueList<string> labels in _kpi.By)
            AddBreakDown(labels);
        foreach ((string label, string expression) in _kpi.BreakDowns)
            AddValue(_kpi.Record + BreakDown.Suffix([label]), [label], expression);
        if (_kpi.Target is { } target)
            Add(TargetMetric, $"vector({Numbers.Text(target)})", ("kpi", _kpi.Name));
        if (StateText() is { } state)
            Add(StateMetric, state, ("kpi", _kpi.Name));
        return _rules;
    }

    private void AddBreakDown(ValueList<string> labels)
    {
        string expression = "";
        if (_kpi.Index is null)
        {
            string? broken = draft.Ratio is { } ratio ? BreakRatio(ratio, labels, out string reason) : BreakDown.Rewrite(_kpi.Expression, labels, m => recordBy(m, labels), out reason);
            if (broken is null)
                draft.Section.Error("by", $"cannot be broken down by {string.Join(", ", labels)}: {reason}");
            expression = broken ?? "";
        }
        AddValue(_kpi.Record + BreakDown.Suffix(labels), labels, expression);
    }

    private string? BreakRatio(RatioForm ratio, ValueList<string> labels, out string reason)
    {
        string? total = BreakDown.Rewrite(ratio.Total, labels, m => recordBy(m, labels), out reason);
        string? part = total is null ? null : BreakDown.Rewrite(ratio.Part, labels, m => recordBy(m, labels), out reason);
        return part is null ? null : KpiReading.Text(new RatioForm(part, total!, ratio.IsBad), Unit.Parse(_kpi.Unit).Canonical == "percent" ? 100 : 1);
    }

    private void AddValue(string record, IReadOnlyList<string> labels, string expression)
    {
        if (_kpi.Index is { } index)
            AddIndex(record, labels, index);
        else
            Add(record, expression);
    }

    private void AddIndex(string record, IReadOnlyList<string> labels, KpiIndex index)
    {
        double weights = index.Inputs.Sum(i => i.Weight);
        for (int i = 0; i < index.Inputs.Count; i++)
            Add($"{record}:share", Share(index.Inputs[i], InputText(index.Inputs[i], labels, draft.Inputs[i])), (InputLabel, index.Inputs[i].Id));
        foreach (KpiInput input in index.Inputs)
        {
            string share = $"{record}:share{{{InputLabel}={new StringLiteral(input.Id)}}}";
            if (index.Missing == MissingInput.Skip)
                Add($"{record}:weight", $"{share} * 0 + {Numbers.Text(input.Weight)}", (InputLabel, input.Id));
            else
                Add($"{record}:contribution", $"{share} * {Numbers.Text(index.IsSum ? input.Weight : index.Scale * input.Weight / weights)}", (InputLabel, input.Id));
        }
        if (index.Missing == MissingInput.Skip)
        {
            Add($"{record}:contribution", $"{record}:share * {record}:weight * {Numbers.Text(index.Scale)} / ignoring ({InputLabel}) group_left () sum without ({InputLabel}) ({record}:weight)");
            Add(record, $"sum without ({InputLabel}) ({record}:contribution)");
        }
        else
        {
            Add(record, $"sum without ({InputLabel}) ({record}:contribution) and count without ({InputLabel}) ({record}:contribution) == {index.Inputs.Count}");
        }
    }

    private string InputText(KpiInput input, IReadOnlyList<string> labels, ConfigSection section)
    {
        if (labels.Count == 0)
            return input.Expression;
        if (input.Kpi.Length > 0)
        {
            if (recordBy(kpiNamed(input.Kpi).Record, labels) is { Length: > 0 } record)
                return record;
            section.Error("kpi", $"'{input.Kpi}' is not broken down by {string.Join(", ", labels)}, as '{_kpi.Name}' is; add it there");
            return input.Expression;
        }
        string? text = BreakDown.Rewrite(input.Expression, labels, m => recordBy(m, labels), out string reason);
        if (text is null)
            section.Error("expr", $"cannot be broken down by {string.Join(", ", labels)}: {reason}");
        return text ?? input.Expression;
    }

    private static string Share(KpiInput input, string value)
    {
        string share = input.Normalisation switch
        {
            Normalisation.Percent => $"({value}) / 100",
            Normalisation.Range => $"(({value}) - {Numbers.Text(input.From)}) / {Numbers.Text(input.To - input.From)}",
            Normalisation.Target when input.Direction == KpiDirection.Higher => $"({value}) / {Numbers.Text(input.To)}",
            Normalisation.Target => $"{Numbers.Text(input.To)} / ({value})",
            _ => $"({value})",
        };
        return input.Clamp && input.Normalisation != Normalisation.None ? $"clamp({share}, 0, 1)" : share;
    }

    /// <summary>0, 1 or 2 where there is a value; NaN is no state.</summary>
    private string? StateText()
    {
        char worse = _kpi.Direction == KpiDirection.Higher ? '<' : '>';
        string? beyond = (_kpi.Warning, _kpi.Critical) switch
        {
            ({ } warning, { } critical) => $"({_kpi.Record} {worse} bool {Numbers.Text(warning)}) + ({_kpi.Record} {worse} bool {Numbers.Text(critical)})",
            ({ } warning, null) => $"({_kpi.Record} {worse} bool {Numbers.Text(warning)})",
            (null, { } critical) => $"2 * ({_kpi.Record} {worse} bool {Numbers.Text(critical)})",
            _ => null,
        };
        return beyond is null ? null : $"({beyond}) and {_kpi.Record} == {_kpi.Record}";
    }

    private void Add(string record, string expression, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var all = new List<KeyValuePair<string, AlertTemplate>>();
        foreach ((string name, string value) in labels)
            all.Add(new KeyValuePair<string, AlertTemplate>(name, AlertTemplate.Plain(value)));
        string query = PromQlParser.Parse(expression).Expr?.ToString() ?? expression;
        _rules.Add(new RuleDefinition { Name = record, IsAlert = false, Expression = query, Query = query, Labels = all, Line = _kpi.Line });
    }
}
