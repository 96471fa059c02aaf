using System.Globalization;
using Bellwether.Evaluate.PromQl;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>What recomputing a contract from a pack gave.</summary>
/// <param name="Contract">The contract, as the pack has it.</param>
/// <param name="Recomputed">The numbers from the pack's own samples.</param>
/// <param name="Differences">What is not equal; none: everything is, to the bit.</param>
public sealed record EvidenceVerdict(EvidenceContract Contract, EvidenceNumbers Recomputed, IReadOnlyList<string> Differences);

/// <summary>Recomputes a pack's numbers from its definitions and samples, without an aggregator. Thread-safe.</summary>
public static class EvidenceVerifier
{
    /// <summary>Recomputes every contract. Throws <see cref="EvidenceException"/> when the pack cannot be computed at all.</summary>
    public static IReadOnlyList<EvidenceVerdict> Verify(OpenedEvidence pack, TimeProvider time, CancellationToken cancellation)
    {
        EvidenceDocument document = pack.Document;
        if (document.LookbackMs is <= 0 or > 86_400_000)
            throw new EvidenceException($"the lookback is {document.LookbackMs} ms; it must be between 1 ms and a day");
        var engine = new PromQlEngine(new EngineOptions { Lookback = TimeSpan.FromMilliseconds(document.LookbackMs), Experimental = true }, time);
        var verdicts = new List<EvidenceVerdict>();
        foreach (EvidenceContract contract in document.Contracts)
            verdicts.Add(Verify(contract, pack, engine, cancellation));
        var counts = new List<string>();
        Compare(counts, "series in the pack", document.Series, pack.Series.Series);
        Compare(counts, "samples in the pack", document.Samples, pack.Series.Samples);
        return counts.Count == 0 || verdicts.Count == 0 ? verdicts : [verdicts[0] with { Differences = [.. counts, .. verdicts[0].Differences] }, .. verdicts.Skip(1)];
    }

    /// <summary>Whether two sets of numbers are equal to the bit.</summary>
    internal static bool AreSame(EvidenceNumbers one, EvidenceNumbers other)
    {
        var differences = new List<string>();
        Compare(differences, one, other);
        return differences.Count == 0;
    }

    private static EvidenceVerdict Verify(EvidenceContract contract, OpenedEvidence pack, PromQlEngine engine, CancellationToken cancellation)
    {
        SlaCheck check = EvidenceText.Check(contract.Promise);
        var promise = new SlaContract { Name = contract.Name, Customer = contract.Customer, Sla = check.Id, Tier = check.Tier, TimeZone = EvidenceText.Zone(contract.TimeZone), Credits = [.. contract.Credits] };
        var set = new SlaSet { Checks = [check], Contracts = [promise], Maintenances = [.. contract.Maintenance.Select(EvidenceText.Work)] };
        (long from, long to) = SlaReport.MonthOf(pack.Document.Month, promise.TimeZone) ?? throw new EvidenceException($"'{pack.Document.Month}' is no month");
        // A month that was under way is computed up to where it was told.
        SlaMonth month = new SlaReport(engine, pack.Series, set).Month(promise, from, to, contract.Numbers.ToMs, cancellation);
        EvidenceNumbers again = EvidenceText.Of(month);
        var differences = new List<string>();
        if (month.Error.Length > 0)
            differences.Add($"it cannot be computed: {month.Error}");
        Compare(differences, contract.Numbers, again);
        CompareRules(differences, contract.Rules, EvidenceText.Rules(check));
        return new EvidenceVerdict(contract, again, differences);
    }

    private static void Compare(List<string> differences, EvidenceNumbers told, EvidenceNumbers again)
    {
        Compare(differences, "begin", told.FromMs, again.FromMs);
        Compare(differences, "end", told.ToMs, again.ToMs);
        Compare(differences, "over", told.IsOver, again.IsOver);
        Compare(differences, "good before planned work", told.GoodBefore, again.GoodBefore);
        Compare(differences, "total before planned work", told.TotalBefore, again.TotalBefore);
        Compare(differences, "good after planned work", told.GoodAfter, again.GoodAfter);
        Compare(differences, "total after planned work", told.TotalAfter, again.TotalAfter);
        Compare(differences, "value before planned work", told.ValueBefore, again.ValueBefore);
        Compare(differences, "value", told.Value, again.Value);
        Compare(differences, "credit", told.Credit, again.Credit);
        Compare(differences, "number of corrections", told.Corrections.Count, again.Corrections.Count);
        foreach ((EvidenceCorrection one, EvidenceCorrection other) in told.Corrections.Zip(again.Corrections))
            Compare(differences, "correction", one, other);
        Compare(differences, "queries", string.Join('\n', told.Queries), string.Join('\n', again.Queries));
    }

    private static void CompareRules(List<string> differences, IReadOnlyList<KpiRuleText> told, IReadOnlyList<KpiRuleText> again)
    {
        static string Text(IEnumerable<KpiRuleText> rules) => string.Join('\n', rules.Select(r => $"{r.Record}{{{string.Join(',', r.Labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"))}}} = {r.Expr}"));
        Compare(differences, "rules", Text(told), Text(again));
    }

    private static void Compare<T>(List<string> differences, string what, T told, T again)
    {
        if (!EqualityComparer<T>.Default.Equals(told, again))
            differences.Add(string.Create(CultureInfo.InvariantCulture, $"{what}: the pack says {(object?)told ?? "none"}, its samples give {(object?)again ?? "none"}"));
    }
}
