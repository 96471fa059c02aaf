using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Kpi.Sla;

/// <summary>A time of planned work.</summary>
/// <param name="FromMs">Its begin, Unix ms.</param>
/// <param name="ToMs">Its end, Unix ms, exclusive.</param>
/// <param name="Maintenance">Its name.</param>
public readonly record struct MaintenanceTime(long FromMs, long ToMs, string Maintenance);

/// <summary>Planned work, once or every week: what happens in it does not count against the service levels that it names. Immutable.</summary>
public sealed record Maintenance
{
    /// <summary>Most times of one maintenance in a range that is asked for.</summary>
    public const int TimesMax = 10_000;

    /// <summary>Its name.</summary>
    public required string Name { get; init; }

    /// <summary>Why.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Who allowed it.</summary>
    public string ApprovedBy { get; init; } = "";

    /// <summary>Checks that it corrects; empty: all.</summary>
    public ValueList<string> Slas { get; init; } = [];

    /// <summary>Tiers that it corrects; empty: all.</summary>
    public ValueList<string> Tiers { get; init; } = [];

    /// <summary>Objectives that it corrects, by id or name; see <see cref="CoversSlo"/>.</summary>
    public ValueList<string> Slos { get; init; } = [];

    /// <summary>Services whose objectives it corrects.</summary>
    public ValueList<string> Services { get; init; } = [];

    /// <summary>The begin: of the one time, or from when on it recurs. Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>The end: of the one time, or of the recurring (<see cref="long.MaxValue"/>: none). Unix ms.</summary>
    public long ToMs { get; init; } = long.MaxValue;

    /// <summary>The days of a recurring one; empty: it is there once.</summary>
    public ValueList<DayOfWeek> Days { get; init; } = [];

    /// <summary>When it begins on these days.</summary>
    public TimeOnly At { get; init; }

    /// <summary>How long a recurring one takes.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>Whose clock <see cref="At"/> is of.</summary>
    public TimeZoneInfo TimeZone { get; init; } = TimeZoneInfo.Utc;

    private bool NamesSlas => Slas.Count + Tiers.Count > 0;

    private bool NamesSlos => Slos.Count + Services.Count > 0;

    /// <summary>Whether it corrects a check: it names its SLA and tier, or names nothing at all.</summary>
    public bool Covers(string sla, string tier) => (NamesSlas || !NamesSlos) && (Slas.Count == 0 || Slas.Contains(sla)) && (Tiers.Count == 0 || Tiers.Contains(tier));

    /// <summary>Whether it corrects an objective: it names it or its service, or names nothing at all.</summary>
    public bool CoversSlo(string id, string name, string service) => NamesSlos ? Slos.Contains(id) || Slos.Contains(name) || Services.Contains(service) : !NamesSlas;

    /// <summary>Its times that overlap a range, cut to it, in order of time.</summary>
    public IEnumerable<MaintenanceTime> Within(long fromMs, long toMs)
    {
        if (Days.Count == 0)
            return Cut(FromMs, ToMs, fromMs, toMs);
        return Recurring(Math.Max(fromMs, FromMs), Math.Min(toMs, ToMs)).Take(TimesMax);
    }

    /// <summary>The times of several that overlap a range, without overlaps: what two name counts once, for the first.</summary>
    public static IReadOnlyList<MaintenanceTime> Merged(IEnumerable<Maintenance> all, long fromMs, long toMs)
    {
        var merged = new List<MaintenanceTime>();
        foreach (MaintenanceTime time in all.SelectMany(m => m.Within(fromMs, toMs)).OrderBy(t => t.FromMs).ThenBy(t => t.Maintenance, StringComparer.Ordinal))
        {
            long from = merged.Count > 0 ? Math.Max(time.FromMs, merged[^1].ToMs) : time.FromMs;
            if (from < time.ToMs)
                merged.Add(time with { FromMs = from });
        }
        return merged;
    }

    private IEnumerable<MaintenanceTime> Recurring(long fromMs, long toMs)
    {
        if (fromMs >= toMs)
            yield break;
        DateTime day = Local(fromMs).Date.AddDays(-1 - (int)Math.Ceiling(Duration.TotalDays));
        DateTime last = Local(toMs).Date;
        for (; day <= last; day = day.AddDays(1))
        {
            if (!Days.Contains(day.DayOfWeek))
                continue;
            long begin = Utc(day.Add(At.ToTimeSpan()), TimeZone);
            foreach (MaintenanceTime time in Cut(begin, begin + (long)Duration.TotalMilliseconds, fromMs, toMs))
                yield return time;
        }
    }

    private IEnumerable<MaintenanceTime> Cut(long begin, long end, long fromMs, long toMs)
    {
        long from = Math.Max(begin, fromMs), to = Math.Min(end, toMs);
        return from < to ? [new MaintenanceTime(from, to, Name)] : [];
    }

    private DateTime Local(long ms) => TimeZoneInfo.ConvertTime(DateTimeOffset.FromUnixTimeMilliseconds(ms), TimeZone).DateTime;

    /// <summary>A local time as Unix ms. One that the clocks leave out is the moment of the change; one that is there twice is the first.</summary>
    internal static long Utc(DateTime local, TimeZoneInfo zone)
    {
        if (zone.IsInvalidTime(local))
        {
            DateTime later = local;
            while (zone.IsInvalidTime(later))
                later = later.AddMinutes(1);
            return new DateTimeOffset(later, zone.GetUtcOffset(later)).ToUnixTimeMilliseconds();
        }
        TimeSpan offset = zone.IsAmbiguousTime(local) ? zone.GetAmbiguousTimeOffsets(local).Max() : zone.GetUtcOffset(local);
        return new DateTimeOffset(local, offset).ToUnixTimeMilliseconds();
    }
}
