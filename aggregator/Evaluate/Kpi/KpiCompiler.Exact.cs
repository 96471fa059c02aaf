using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Evaluate.Kpi;

/// <content>The rules beside an exact count: PromQL's plain figure, and the application's own.</content>
internal sealed partial class KpiCompiler
{
    /// <summary>The alert on counts that do not agree, by label <c>kpi</c>.</summary>
    public const string ReconcileAlert = "KpiNotReconciled";

    private void AddExact(KpiExact exact)
    {
        Add(_kpi.Record + KpiExact.PlainSuffix, KpiReading.Grown(exact, exact.Window, ""));
        if (exact.Reconcile is not { } reconcile)
            return;
        string ledger = _kpi.Record + KpiExact.LedgerSuffix;
        Add(ledger, reconcile.Expression);
        Add(_kpi.Record + KpiExact.DifferenceSuffix, KpiReading.Rounded($"{_kpi.Record} - {ledger}", exact.Step));
        Add(_kpi.Record + KpiExact.UnexplainedSuffix, Unexplained(exact, reconcile.Skew, ledger));
        AddAlert(reconcile);
    }

    /// <summary>
    /// The ledger was read some time within <paramref name="skew"/> of the counters, at both ends of the window. So what it says of the window that ended a skew ago lies between what the counters
    /// say of a window that is shorter by a skew at both ends, and of one that is longer: how far it lies outside is unexplained.
    /// </summary>
    private static string Unexplained(KpiExact exact, TimeSpan skew, string ledger)
    {
        string back = PrometheusDuration.Format(skew), twice = PrometheusDuration.Format(skew * 2);
        string most = KpiReading.Grown(exact, exact.Window + (skew * 2), " anchored");
        string least = KpiReading.Grown(exact, exact.Window - (skew * 2), $" anchored offset {twice}");
        return KpiReading.Rounded($"clamp_min(({ledger} offset {back}) - {most}, 0) + clamp_min({least} - ({ledger} offset {back}), 0)", exact.Step);
    }

    private void AddAlert(KpiReconcile reconcile)
    {
        const string Summary = "{{ $labels.kpi }}: the counters and the application's own books differ by {{ $value }} more than can have been counted between reading the one and the other.";
        string query = $"{_kpi.Record}{KpiExact.UnexplainedSuffix} > {Numbers.Text(reconcile.Tolerance)}";
        _rules.Add(new RuleDefinition
        {
            Name = ReconcileAlert,
            IsAlert = true,
            Expression = query,
            Query = query,
            For = reconcile.Skew * 2,
            Labels = [new("kpi", AlertTemplate.Plain(_kpi.Name)), new("severity", AlertTemplate.Plain("warning"))],
            Annotations = [new("summary", AlertTemplate.TryParse(Summary, out _)!)],
            Line = _kpi.Line,
        });
    }
}
