namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>From what counts in the aggregator to what stands in the pack, and back.</summary>
internal static class EvidenceText
{
    public static EvidencePromise Of(SlaCheck check) => new()
    {
        Sla = check.Id,
        Tier = check.Tier,
        Definition = check.Definition,
        Unit = check.Unit,
        Target = check.Target,
        Direction = check.Direction == KpiDirection.Higher ? "higher" : "lower",
        Part = check.Part,
        Total = check.Total,
        IsBad = check.IsBad,
        Value = check.Value,
        MeasurementMs = (long)check.MeasurementWindow.TotalMilliseconds,
        EvaluationMs = (long)check.EvaluationWindow.TotalMilliseconds,
        GraceMs = (long)check.GracePeriod.TotalMilliseconds,
    };

    public static SlaCheck Check(EvidencePromise promise) => new()
    {
        Id = promise.Sla,
        Tier = promise.Tier,
        Definition = promise.Definition,
        Unit = promise.Unit,
        Target = promise.Target,
        Direction = promise.Direction switch
        {
            "higher" => KpiDirection.Higher,
            "lower" => KpiDirection.Lower,
            _ => throw new EvidenceException($"the direction of '{promise.Sla}' is '{promise.Direction}', neither higher nor lower"),
        },
        Part = promise.Part,
        Total = promise.Total,
        IsBad = promise.IsBad,
        Value = promise.Value,
        MeasurementWindow = TimeSpan.FromMilliseconds(promise.MeasurementMs),
        EvaluationWindow = TimeSpan.FromMilliseconds(promise.EvaluationMs),
        GracePeriod = TimeSpan.FromMilliseconds(promise.GraceMs),
    };

    public static EvidenceMaintenance Of(Maintenance work) => new()
    {
        Name = work.Name,
        Reason = work.Reason,
        ApprovedBy = work.ApprovedBy,
        Slas = work.Slas,
        Tiers = work.Tiers,
        FromMs = work.FromMs,
        ToMs = work.ToMs,
        Days = work.Days,
        At = work.At,
        DurationMs = (long)work.Duration.TotalMilliseconds,
        TimeZone = work.TimeZone.Id,
    };

    public static Maintenance Work(EvidenceMaintenance work) => new()
    {
        Name = work.Name,
        Reason = work.Reason,
        ApprovedBy = work.ApprovedBy,
        Slas = [.. work.Slas],
        Tiers = [.. work.Tiers],
        FromMs = work.FromMs,
        ToMs = work.ToMs,
        Days = [.. work.Days],
        At = work.At,
        Duration = TimeSpan.FromMilliseconds(work.DurationMs),
        TimeZone = Zone(work.TimeZone),
    };

    public static TimeZoneInfo Zone(string id) => TimeZoneInfo.TryFindSystemTimeZoneById(id, out TimeZoneInfo? zone)
        ? zone
        : throw new EvidenceException($"the time zone '{id}' is not known on this machine; install its time zone data");

    public static EvidenceNumbers Of(SlaMonth month) => new()
    {
        FromMs = month.FromMs,
        ToMs = month.ToMs,
        IsOver = month.IsOver,
        GoodBefore = month.Before.Good,
        TotalBefore = month.Before.Total,
        GoodAfter = month.After.Good,
        TotalAfter = month.After.Total,
        ValueBefore = month.ValueBefore,
        Value = month.Value,
        Credit = month.Credit ?? 0,
        Corrections = [.. month.Corrections.Select(c => new EvidenceCorrection(c.Time.Maintenance, c.Time.FromMs, c.Time.ToMs, c.Counts.Good, c.Counts.Total))],
        Queries = month.Queries,
    };

    public static IReadOnlyList<KpiRuleText> Rules(SlaCheck check) => [.. SlaCompiler.Groups(new SlaSet { Checks = [check] }, "").SelectMany(g => g.Rules).Select(KpiVersion.TextOf)];
}
