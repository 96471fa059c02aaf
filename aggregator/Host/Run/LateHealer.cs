using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Ingest.Bundles;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>When late data is healed.</summary>
internal sealed record LateHealerOptions
{
    /// <summary>Time between looks. Default 2 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Ranges that still grow are healed after this. Default 30 s.</summary>
    public TimeSpan WaitMax { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Ranges closer together are healed in one go. Default 10 min.</summary>
    public TimeSpan JoinGap { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>
/// Takes the ranges that late data made dirty and has the rules evaluated again over them: once no more comes for a look, at the latest after a while. A range leaves the list when its
/// results are stored, so a stop in between costs only doing it again. One loop.
/// </summary>
internal sealed partial class LateHealer(LateRanges late, HealDesk desk, LateHealerOptions options, TimeProvider time, ILogger log)
{
    private const int NamesTold = 5;
    private IReadOnlyList<LateRange> _seen = [];
    private long? _since;

    /// <summary>Watches until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(options.Interval, time, cancellation);
                await StepAsync(cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return;
            }
            catch (StoreUnavailableException e)
            {
                Unavailable(log, e.Message);
            }
        }
    }

    /// <summary>One look.</summary>
    public async Task StepAsync(CancellationToken cancellation)
    {
        IReadOnlyList<LateRange> ranges = late.List();
        if (ranges.Count == 0)
        {
            (_seen, _since) = (ranges, null);
            return;
        }
        _since ??= time.GetTimestamp();
        bool isQuiet = ranges.SequenceEqual(_seen);
        _seen = ranges;
        if (!isQuiet && time.GetElapsedTime(_since.Value) < options.WaitMax)
            return;
        foreach (List<LateRange> joined in Joined(ranges))
            await desk.HealAsync(RequestOf(joined), cancellation);
        late.Done(ranges);
        late.Save();
        _since = null;
    }

    private List<List<LateRange>> Joined(IReadOnlyList<LateRange> ranges)
    {
        var joined = new List<List<LateRange>>();
        long end = long.MinValue / 2;
        foreach (LateRange range in ranges.OrderBy(r => r.FromMs))
        {
            if (range.FromMs - end <= (long)options.JoinGap.TotalMilliseconds)
                joined[^1].Add(range);
            else
                joined.Add([range]);
            end = Math.Max(end, range.ToMs);
        }
        return joined;
    }

    private static HealRequest RequestOf(List<LateRange> ranges)
    {
        string[] agents = [.. ranges.Select(r => r.Agent).Where(a => a.Length > 0).Distinct().Order(StringComparer.Ordinal)];
        string[] metrics = [.. ranges.Where(r => r.Agent.Length == 0).Select(r => r.Source).Distinct().Order(StringComparer.Ordinal)];
        bool isPlanned = metrics.Contains(PlannedSeries.Metric);
        var reasons = new List<string>();
        if (agents.Length > 0)
            reasons.Add($"late data of {Listed(agents, "agent", "agents")}");
        if (isPlanned)
            reasons.Add("planned work was entered or changed");
        if (metrics.Length > (isPlanned ? 1 : 0))
            reasons.Add($"late data by remote write: {(metrics.Contains("") ? "many metrics" : Listed([.. metrics.Where(m => m != PlannedSeries.Metric)], "metric", "metrics"))}");
        return new HealRequest(ranges.Min(r => r.FromMs), ranges.Max(r => r.ToMs))
        {
            Reason = string.Join("; ", reasons),
            // What an agent brings may be any series of its targets.
            Metrics = agents.Length > 0 || metrics.Contains("") ? null : metrics,
        };
    }

    private static string Listed(string[] names, string one, string several) => names.Length switch
    {
        1 => $"{one} {names[0]}",
        <= NamesTold => $"{several} {string.Join(", ", names)}",
        _ => $"{several} {string.Join(", ", names.Take(NamesTold))} and {names.Length - NamesTold} more",
    };

    [LoggerMessage(EventId = 4601, Level = LogLevel.Warning, Message = "results of late data cannot be stored now, trying again: {Reason}")]
    private static partial void Unavailable(ILogger log, string reason);
}
