using Bellwether.Core.Model;

namespace Bellwether.Serve.QueryApi;

/// <summary>What the API knows of scrape targets. Thread-safe.</summary>
public interface ITargetSource
{
    /// <summary>The targets that are scraped now.</summary>
    IReadOnlyList<TargetStatus> Targets();

    /// <summary>The targets that rules dropped, by pool and agent.</summary>
    IReadOnlyList<DroppedPool> Dropped() => [];
}

/// <summary>What the rules of one pool dropped at one agent.</summary>
/// <param name="Job">The pool.</param>
/// <param name="Agent">The agent.</param>
/// <param name="Count">How many.</param>
/// <param name="Discovered">The labels of the first ones.</param>
public sealed record DroppedPool(string Job, string Agent, long Count, IReadOnlyList<Labels> Discovered);

/// <summary>One target as <c>/api/v1/targets</c> shows it. Times are Unix ms; 0: never.</summary>
public sealed record TargetStatus
{
    /// <summary>Its labels after relabelling.</summary>
    public required Labels Labels { get; init; }

    /// <summary>Its labels before relabelling.</summary>
    public Labels Discovered { get; init; } = Labels.Empty;

    /// <summary>The agent that scrapes it; empty: not known.</summary>
    public string Agent { get; init; } = "";

    /// <summary>The job, shown as the scrape pool.</summary>
    public string Job { get; init; } = "";

    /// <summary>Where it is scraped; may be empty when only the agent knows.</summary>
    public string ScrapeUrl { get; init; } = "";

    /// <summary>Whether the last scrape worked; null: not known.</summary>
    public bool? Up { get; init; }

    /// <summary>Why the last scrape failed, or empty.</summary>
    public string LastError { get; init; } = "";

    /// <summary>When it was last scraped.</summary>
    public long LastScrapeMs { get; init; }

    /// <summary>How long that took.</summary>
    public TimeSpan LastScrapeDuration { get; init; }

    /// <summary>How often it is scraped.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>How long a scrape may take.</summary>
    public TimeSpan Timeout { get; init; }
}

/// <summary>Targets as the <c>up</c> series tell them: one per series with a sample in the lookback.</summary>
public sealed class UpTargets(ISeriesReader reader, TimeProvider time, TimeSpan lookback) : ITargetSource
{
    /// <inheritdoc/>
    public IReadOnlyList<TargetStatus> Targets()
    {
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        long fromMs = nowMs - (long)lookback.TotalMilliseconds;
        var durations = Newest("scrape_duration_seconds", fromMs, nowMs);
        var targets = new List<TargetStatus>();
        foreach ((Labels labels, (long at, double value, long gap)) in Newest("up", fromMs, nowMs))
        {
            durations.TryGetValue(labels, out (long At, double Value, long Gap) took);
            targets.Add(new TargetStatus
            {
                Labels = labels,
                Job = labels.Get(LabelNames.Job),
                Up = value == 1,
                LastError = value == 1 ? "" : "the last scrape failed; the agent's log says why",
                LastScrapeMs = at,
                LastScrapeDuration = TimeSpan.FromSeconds(double.IsFinite(took.Value) ? Math.Clamp(took.Value, 0, 3600) : 0),
                Interval = TimeSpan.FromMilliseconds(gap),
            });
        }
        return targets;
    }

    private Dictionary<Labels, (long At, double Value, long Gap)> Newest(string metric, long fromMs, long toMs)
    {
        var found = new Dictionary<Labels, (long, double, long)>();
        var samples = new SampleBuffer();
        using ISeriesSet set = reader.Select(fromMs, toMs, [new LabelMatcher(Core.Model.MatchType.Equal, LabelNames.MetricName, metric)], CancellationToken.None);
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, samples);
            if (samples.Count > 0 && !SpecialValues.IsStale(samples.Values[^1]))
                found[set.LabelsAt(i).Without(LabelNames.MetricName)] = (samples.Times[^1], samples.Values[^1], samples.Count > 1 ? samples.Times[^1] - samples.Times[^2] : 0);
        }
        return found;
    }
}
