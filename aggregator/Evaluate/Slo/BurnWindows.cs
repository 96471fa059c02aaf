using System.Globalization;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo;

/// <summary>One pair of windows of a burn-rate alert.</summary>
/// <param name="BudgetPercent">The share of the period's error budget that may burn in the long window, in percent.</param>
/// <param name="Short">The window that ends the alert soon after the burning.</param>
/// <param name="Long">The window that the share is measured over.</param>
public sealed record BurnWindow(double BudgetPercent, TimeSpan Short, TimeSpan Long)
{
    /// <summary>How many times faster than "just used up at the period's end" the budget burns: share × period ÷ long window.</summary>
    public double Factor(TimeSpan period) => BudgetPercent / 100 * period.TotalHours / Long.TotalHours;
}

/// <summary>
/// The windows of multi-window multi-burn-rate alerts for one period. Source: Google, "The Site Reliability Workbook", chapter 5 "Alerting on SLOs", table 5-8
/// "Recommended parameters for an SLO-based alerting configuration" (sre.google/workbook/alerting-on-slos/): 2 % in 1 h and 5 % in 6 h wake people, 10 % in 3 d opens a
/// ticket; short windows are a twelfth of the long ones. The second ticket pair, 10 % in 1 d, and the table for a week are those that Sloth publishes (Apache-2.0).
/// </summary>
/// <param name="Period">The period that they are for.</param>
/// <param name="Page">Pairs that wake people, the quick one first.</param>
/// <param name="Ticket">Pairs that open a ticket, the quick one first.</param>
/// <param name="Source">Where the numbers come from, for the alerts' annotations.</param>
public sealed record BurnWindows(TimeSpan Period, IReadOnlyList<BurnWindow> Page, IReadOnlyList<BurnWindow> Ticket, string Source)
{
    private const string Workbook = "Google SRE Workbook, chapter 5, table 5-8";

    /// <summary>The table for 30 days.</summary>
    public static BurnWindows Month { get; } = Of(30, [2, 5], [10, 10], Workbook);

    /// <summary>The table for 7 days.</summary>
    public static BurnWindows Week { get; } = Of(7, [8, 12.5], [20, 42], "the week's table that Sloth publishes, after the Google SRE Workbook, chapter 5");

    /// <summary>All windows, short and long, shortest first, each once.</summary>
    public IReadOnlyList<TimeSpan> All => [.. Page.Concat(Ticket).SelectMany(w => new[] { w.Short, w.Long }).Distinct().Order()];

    /// <summary>The table for a period: one that was given for it, the week's, or the month's shares over the period. Pairs whose long window is not shorter than the period are left out.</summary>
    public static BurnWindows For(TimeSpan period, IEnumerable<BurnWindows> given)
    {
        BurnWindows table = given.FirstOrDefault(w => w.Period == period) ?? (period == Week.Period ? Week : Month with { Period = period });
        return table with { Page = [.. table.Page.Where(w => w.Long < period)], Ticket = [.. table.Ticket.Where(w => w.Long < period)] };
    }

    /// <summary>A number as PromQL reads it.</summary>
    internal static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>A duration as PromQL reads it.</summary>
    internal static string Text(TimeSpan duration) => PrometheusDuration.Format(duration);

    private static BurnWindows Of(int days, double[] page, double[] ticket, string source) => new(
        TimeSpan.FromDays(days),
        [new(page[0], TimeSpan.FromMinutes(5), TimeSpan.FromHours(1)), new(page[1], TimeSpan.FromMinutes(30), TimeSpan.FromHours(6))],
        [new(ticket[0], TimeSpan.FromHours(2), TimeSpan.FromDays(1)), new(ticket[1], TimeSpan.FromHours(6), TimeSpan.FromDays(3))],
        source);
}
