using Bellwether.Evaluate.Slo;

namespace Bellwether.Aggregator.Tests.Evaluate.Slo;

public sealed class CalendarPeriodsTests
{
    private static CalendarPeriods Of(CalendarUnit unit, int count, string start, string zone) =>
        new(unit, count, DateTime.Parse(start, System.Globalization.CultureInfo.InvariantCulture), TimeZoneInfo.FindSystemTimeZoneById(zone));

    private static long Ms(string time) => DateTimeOffset.Parse(time, System.Globalization.CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();

    [Theory]
    [InlineData(CalendarUnit.Month, 1, "2024-01-01", "Europe/Berlin", "2027-03-15T00:00:00Z", "2027-03-01", "2027-02-28T23:00:00Z", "2027-03-31T22:00:00Z")]
    [InlineData(CalendarUnit.Month, 1, "2024-01-01", "America/New_York", "2026-11-21T00:00:00Z", "2026-11-01", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z")]
    [InlineData(CalendarUnit.Day, 1, "2024-01-01", "Europe/Berlin", "2027-03-28T12:00:00Z", "2027-03-28", "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z")]
    [InlineData(CalendarUnit.Week, 1, "2024-01-01", "UTC", "2026-11-21T00:00:00Z", "2026-11-16", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z")]
    [InlineData(CalendarUnit.Quarter, 1, "2024-01-01", "UTC", "2026-11-21T00:00:00Z", "2026-10-01", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z")]
    [InlineData(CalendarUnit.Year, 1, "2024-02-29", "UTC", "2026-11-21T00:00:00Z", "2026-02-28", "2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z")]
    [InlineData(CalendarUnit.Month, 1, "2030-01-01", "UTC", "2026-11-21T00:00:00Z", "2026-11-01", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")]
    [InlineData(CalendarUnit.Month, 1, "2024-01-31T12:30:00", "UTC", "2026-11-21T00:00:00Z", "2026-10-31T12:30", "2026-10-31T12:30:00Z", "2026-11-30T12:30:00Z")]
    [InlineData(CalendarUnit.Day, 1, "2020-01-21T02:30:00", "Europe/Berlin", "2027-03-28T12:00:00Z", "2027-03-28T02:30", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z")]
    [InlineData(CalendarUnit.Hour, 6, "2024-01-01", "UTC", "2026-11-21T07:00:00Z", "2026-11-21T06:00", "2026-11-21T06:00:00Z", "2026-11-21T12:00:00Z")]
    public void A_period_follows_the_wall_clock_of_its_zone(CalendarUnit unit, int count, string start, string zone, string at, string name, string from, string to)
    {
        CalendarPeriod period = Of(unit, count, start, zone).At(Ms(at));
        Assert.Equal((name, Ms(from), Ms(to)), (period.Name, period.StartMs, period.EndMs));
    }

    [Fact]
    public void Periods_follow_each_other_without_gap_and_a_border_belongs_to_the_one_before()
    {
        CalendarPeriods months = Of(CalendarUnit.Month, 1, "2024-01-01", "Europe/Berlin");
        IReadOnlyList<CalendarPeriod> year = months.From(Ms("2027-01-15T00:00:00Z"), 13);
        for (int i = 1; i < year.Count; i++)
            Assert.Equal(year[i - 1].EndMs, year[i].StartMs);
        Assert.Equal(("2027-01-01", "2028-01-01"), (year[0].Name, year[12].Name));
        Assert.Equal("2027-01-01", months.At(year[0].EndMs).Name);
        Assert.Equal("2027-02-01", months.At(year[0].EndMs + 1).Name);
    }
}
