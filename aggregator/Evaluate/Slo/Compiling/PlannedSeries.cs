using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>
/// Planned work as objectives' rules read it: a series with a sample of 1 for each minute that lies wholly in it, by <c>slo_id</c> and <c>maintenance</c>. The aggregator writes it, also
/// afterwards: then it is late data, and results heal.
/// </summary>
public static class PlannedSeries
{
    /// <summary>The series.</summary>
    public const string Metric = "slo:maintenance:active";

    /// <summary>The series' step.</summary>
    public static readonly TimeSpan Step = TimeSpan.FromMinutes(1);

    /// <summary>A condition (one or more elements, or none): a span that ends now lies wholly in planned work.</summary>
    /// <param name="id">The objective's id.</param>
    /// <param name="span">The span, rounded up to whole minutes.</param>
    public static string Covers(string id, TimeSpan span)
    {
        int minutes = Math.Max(1, (int)Math.Ceiling(span.TotalMinutes));
        return $"on() (count_over_time({Metric}{{slo_id=\"{SloFrame.Quoted(id)}\"}}[{PrometheusDuration.Format(TimeSpan.FromMinutes(minutes))}]) >= {minutes})";
    }
}
