using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules.Healing;
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
internal sealed partial class LateHealer(LateRanges late, RuleHealer healer, LateHealerOptions options, TimeProvider time, ILogger log)
{
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
        foreach ((long from, long to) in Joined(ranges))
            await healer.HealAsync(from, to, cancellation);
        late.Done(ranges);
        late.Save();
        _since = null;
    }

    private List<(long FromMs, long ToMs)> Joined(IReadOnlyList<LateRange> ranges)
    {
        var joined = new List<(long FromMs, long ToMs)>();
        foreach (LateRange range in ranges.OrderBy(r => r.FromMs))
        {
            if (joined.Count > 0 && range.FromMs - joined[^1].ToMs <= (long)options.JoinGap.TotalMilliseconds)
                joined[^1] = (joined[^1].FromMs, Math.Max(joined[^1].ToMs, range.ToMs));
            else
                joined.Add((range.FromMs, range.ToMs));
        }
        return joined;
    }

    [LoggerMessage(EventId = 4601, Level = LogLevel.Warning, Message = "results of late data cannot be stored now, trying again: {Reason}")]
    private static partial void Unavailable(ILogger log, string reason);
}
