using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.Kpi.Sla;

/// <summary>Good and total events.</summary>
/// <param name="Good">Good ones; null: there is no data.</param>
/// <param name="Total">All.</param>
public readonly record struct SlaCounts(double? Good, double? Total)
{
    /// <summary>The share of good ones in percent; null without events.</summary>
    public double? Percent => Good is { } good && Total is { } total && total > 0 ? good / total * 100 : null;
}

/// <summary>What one time of planned work took out.</summary>
/// <param name="Time">The time.</param>
/// <param name="Counts">The events in it.</param>
public sealed record SlaCorrection(MaintenanceTime Time, SlaCounts Counts);

/// <summary>How a contract was kept in one calendar month. Immutable.</summary>
public sealed record SlaMonth
{
    /// <summary>The contract.</summary>
    public required SlaContract Contract { get; init; }

    /// <summary>What it promises.</summary>
    public required SlaCheck Check { get; init; }

    /// <summary>The month's first moment, Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>Its end, Unix ms, exclusive; of a month that is under way: now.</summary>
    public long ToMs { get; init; }

    /// <summary>Whether the month is over.</summary>
    public bool IsOver { get; init; }

    /// <summary>The counts as they are, of a check that counts.</summary>
    public SlaCounts Before { get; init; }

    /// <summary>The counts without planned work.</summary>
    public SlaCounts After { get; init; }

    /// <summary>What was taken out.</summary>
    public IReadOnlyList<SlaCorrection> Corrections { get; init; } = [];

    /// <summary>The value that counts: percent after corrections, or the value of the month; null without data, and when planned work could not be taken out.</summary>
    public double? Value { get; init; }

    /// <summary>The value without corrections.</summary>
    public double? ValueBefore { get; init; }

    /// <summary>Percent of the price that is given back; null: it could not be computed.</summary>
    public double? Credit { get; init; }

    /// <summary>The queries with their literal bounds, to be asked of any Prometheus with the same data.</summary>
    public IReadOnlyList<string> Queries { get; init; } = [];

    /// <summary>Why it could not be computed, or empty.</summary>
    public string Error { get; init; } = "";
}

/// <summary>Adds up calendar months of service levels from counts, with and without planned work. Thread-safe.</summary>
public sealed class SlaReport(PromQlEngine engine, ISeriesReader reader, SlaSet set)
{
    /// <summary>The bounds of a month (<c>2026-10</c>) in a zone, Unix ms; null when the text is none.</summary>
    public static (long FromMs, long ToMs)? MonthOf(string text, TimeZoneInfo zone) =>
        DateTime.TryParseExact(text, "yyyy-MM", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime first) && first.Year is > 1970 and < 9999
            ? (Maintenance.Utc(first, zone), Maintenance.Utc(first.AddMonths(1), zone))
            : null;

    /// <summary>A contract's month.</summary>
    /// <param name="contract">One of the set.</param>
    /// <param name="fromMs">The month's begin.</param>
    /// <param name="toMs">Its end.</param>
    /// <param name="nowMs">Now: a month that is under way is told so far.</param>
    /// <param name="cancellation">Ends it early.</param>
    public SlaMonth Month(SlaContract contract, long fromMs, long toMs, long nowMs, CancellationToken cancellation)
    {
        SlaCheck check = set.Checks.First(c => c.Id == contract.Sla && c.Tier == contract.Tier);
        long end = Math.Min(toMs, nowMs - (nowMs % 1000));
        var month = new SlaMonth { Contract = contract, Check = check, FromMs = fromMs, ToMs = end, IsOver = nowMs >= toMs };
        if (end <= fromMs)
            return month with { Error = "the month has not begun" };
        var asking = new Asking(engine, reader, cancellation);
        if (!check.IsCounted)
        {
            double? value = asking.One(check.Value, fromMs, end);
            return month with { Value = value, ValueBefore = value, Credit = asking.Error.Length > 0 ? null : CreditOf(contract, check, value), Queries = asking.Queries, Error = asking.Error };
        }
        SlaCounts before = Counts(asking, check, fromMs, end);
        var corrections = new List<SlaCorrection>();
        foreach (MaintenanceTime time in Maintenance.Merged(set.Maintenances.Where(m => m.Covers(check.Id, check.Tier)), fromMs, end))
        {
            asking.About = $"planned work {time.Maintenance}: ";
            corrections.Add(new SlaCorrection(time, Counts(asking, check, time.FromMs, time.ToMs)));
        }
        // What planned work took out is not known: a value without it would be another one than what was agreed on.
        bool isKnown = asking.Error.Length == 0;
        SlaCounts after = !isKnown ? default : new SlaCounts(before.Good - corrections.Sum(c => c.Counts.Good ?? 0), before.Total - corrections.Sum(c => c.Counts.Total ?? 0));
        return month with
        {
            Before = before,
            After = after,
            Corrections = corrections,
            Value = after.Percent,
            ValueBefore = before.Percent,
            Credit = isKnown ? CreditOf(contract, check, after.Percent) : null,
            Queries = asking.Queries,
            Error = asking.Error,
        };
    }

    private static SlaCounts Counts(Asking asking, SlaCheck check, long fromMs, long toMs)
    {
        double? total = asking.One(check.Total, fromMs, toMs);
        // No series of the part while there is a total is none of it.
        double? part = asking.One(check.Part, fromMs, toMs) ?? (total is null ? null : 0);
        return new SlaCounts(check.IsBad ? total - part : part, total);
    }

    private static double CreditOf(SlaContract contract, SlaCheck check, double? value) => value is not { } known || double.IsNaN(known)
        ? 0
        : contract.Credits.Where(c => check.Direction == KpiDirection.Higher ? known < c.Below : known > c.Below).Select(c => c.Credit).DefaultIfEmpty(0).Max();

    private sealed class Asking(PromQlEngine engine, ISeriesReader reader, CancellationToken cancellation)
    {
        public List<string> Queries { get; } = [];

        /// <summary>The first error.</summary>
        public string Error { get; private set; } = "";

        /// <summary>What is asked about, in front of an error.</summary>
        public string About { get; set; } = "";

        /// <summary>A range's length as PromQL writes it: in whole seconds where it can be.</summary>
        private static string Window(long ms) => ms % 1000 == 0 ? $"{ms / 1000}s" : $"{ms}ms";

        public double? One(string template, long fromMs, long toMs)
        {
            string text = template.Replace("$window", Window(toMs - fromMs), StringComparison.Ordinal);
            if (PromQlParser.Parse(text).Expr is not { } expr)
                return null;
            string bound = SelectorRewrite.Map(expr, s => s with { At = new AtModifier(AtKind.Time, toMs) }).ToString();
            Queries.Add(bound);
            QueryResult result = engine.Instant(reader, bound, toMs, cancellation);
            string error = result.Error is { } failed ? failed.Message : result.Series.Count > 1 ? $"{bound} gives {result.Series.Count} series; aggregate it to one" : "";
            if (error.Length > 0 && Error.Length == 0)
                Error = About + error;
            return error.Length == 0 && result.Series.Count == 1 ? result.Series[0].Points[^1].Value : null;
        }
    }
}
