namespace Bellwether.Evaluate.Slo;

/// <summary>The unit of a calendar period.</summary>
public enum CalendarUnit
{
    /// <summary>Minutes.</summary>
    Minute,

    /// <summary>Hours.</summary>
    Hour,

    /// <summary>Days.</summary>
    Day,

    /// <summary>Weeks.</summary>
    Week,

    /// <summary>Months.</summary>
    Month,

    /// <summary>Quarters.</summary>
    Quarter,

    /// <summary>Years.</summary>
    Year,
}

/// <summary>One calendar period: from its start (exclusive for samples, as in PromQL's ranges) to its end (inclusive).</summary>
/// <param name="Name">Its local start, e.g. <c>2026-03-01</c>.</param>
/// <param name="StartMs">Unix ms.</param>
/// <param name="EndMs">Unix ms: the start of the next.</param>
public sealed record CalendarPeriod(string Name, long StartMs, long EndMs);

/// <summary>Periods that follow each other in the calendar of a time zone: months are as long as they are, days have 23 to 25 hours.</summary>
/// <param name="Unit">The unit.</param>
/// <param name="Count">How many units a period has; at least 1.</param>
/// <param name="Start">The local start of one period; all others follow from it.</param>
/// <param name="Zone">The IANA zone.</param>
public sealed record CalendarPeriods(CalendarUnit Unit, int Count, DateTime Start, TimeZoneInfo Zone)
{
    /// <summary>How it is named in series: <c>1M</c>, <c>2w</c>.</summary>
    public string Shorthand => $"{Count}{"mhdwMQY"[(int)Unit]}";

    /// <summary>The longest that a period can be, an hour of clock change included.</summary>
    public TimeSpan Longest => (Unit switch
    {
        CalendarUnit.Minute => TimeSpan.FromMinutes(Count),
        CalendarUnit.Hour => TimeSpan.FromHours(Count),
        CalendarUnit.Day => TimeSpan.FromDays(Count),
        CalendarUnit.Week => TimeSpan.FromDays(7L * Count),
        CalendarUnit.Month => TimeSpan.FromDays(31L * Count),
        CalendarUnit.Quarter => TimeSpan.FromDays(92L * Count),
        _ => TimeSpan.FromDays(366L * Count),
    }) + (Unit is CalendarUnit.Minute or CalendarUnit.Hour ? TimeSpan.Zero : TimeSpan.FromHours(1));

    /// <summary>The period that a time lies in: start &lt; time &lt;= end.</summary>
    public CalendarPeriod At(long timeMs)
    {
        long n = Estimate(timeMs);
        while (StartOf(n) >= timeMs)
            n--;
        while (StartOf(n + 1) < timeMs)
            n++;
        return Period(n);
    }

    /// <summary>The period that a time lies in, and those that follow.</summary>
    public IReadOnlyList<CalendarPeriod> From(long timeMs, int count)
    {
        var periods = new List<CalendarPeriod>(count) { At(timeMs) };
        while (periods.Count < count)
            periods.Add(At(periods[^1].EndMs + 1));
        return periods;
    }

    private CalendarPeriod Period(long n)
    {
        DateTime local = LocalStart(n);
        string name = local.TimeOfDay == TimeSpan.Zero ? $"{local:yyyy-MM-dd}" : $"{local:yyyy-MM-ddTHH:mm}";
        return new CalendarPeriod(name, StartOf(n), StartOf(n + 1));
    }

    private long Estimate(long timeMs)
    {
        DateTime at = TimeZoneInfo.ConvertTime(DateTimeOffset.FromUnixTimeMilliseconds(timeMs), Zone).DateTime;
        int months = Unit switch { CalendarUnit.Month => 1, CalendarUnit.Quarter => 3, CalendarUnit.Year => 12, _ => 0 } * Count;
        if (months > 0)
            return (((at.Year - Start.Year) * 12L) + at.Month - Start.Month) / months;
        return (long)Math.Floor((at - Start) / Step);
    }

    private TimeSpan Step => Unit switch
    {
        CalendarUnit.Minute => TimeSpan.FromMinutes(Count),
        CalendarUnit.Hour => TimeSpan.FromHours(Count),
        CalendarUnit.Day => TimeSpan.FromDays(Count),
        _ => TimeSpan.FromDays(7L * Count),
    };

    private DateTime LocalStart(long n) => Unit switch
    {
        CalendarUnit.Month => Start.AddMonths((int)n * Count),
        CalendarUnit.Quarter => Start.AddMonths((int)n * Count * 3),
        CalendarUnit.Year => Start.AddYears((int)n * Count),
        _ => Start + (Step * n),
    };

    private long StartOf(long n)
    {
        // Minutes and hours are time that passes; days and longer follow the clock on the wall.
        if (Unit is CalendarUnit.Minute or CalendarUnit.Hour)
            return ToUnixMs(Start) + ((long)Step.TotalMilliseconds * n);
        return ToUnixMs(LocalStart(n));
    }

    private long ToUnixMs(DateTime local)
    {
        // A start that the clock change leaves out begins when the clock goes on.
        while (Zone.IsInvalidTime(local))
            local = local.AddMinutes(15);
        TimeSpan offset = Zone.IsAmbiguousTime(local) ? Zone.GetAmbiguousTimeOffsets(local).Max() : Zone.GetUtcOffset(local);
        return new DateTimeOffset(local, offset).ToUnixTimeMilliseconds();
    }
}
