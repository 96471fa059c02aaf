using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>
/// The asynchronous edge of discovery: looks at all jobs' files when they are due and hands every change on.
/// Run it once; end it by its token.
/// </summary>
/// <param name="jobs">The jobs.</param>
/// <param name="time">The clock.</param>
/// <param name="changed">Gets all jobs' results, first at once and then after each change; called by one thread at a time.</param>
public sealed class DiscoveryLoop(IEnumerable<ScrapeConfig> jobs, TimeProvider time, Action<IReadOnlyList<DiscoveredJob>> changed)
{
    private static readonly TimeSpan s_longestSleep = TimeSpan.FromDays(1);
    private readonly List<TargetDiscovery> _jobs = [.. jobs.Select(j => new TargetDiscovery(j, time))];

    /// <summary>Looks at what is due now and hands the results on when they changed; gives how long until the next look, or infinite.</summary>
    public TimeSpan Step()
    {
        bool any = false;
        foreach (TargetDiscovery job in _jobs)
            any |= job.Refresh();
        if (any)
            changed([.. _jobs.Select(j => j.Current)]);
        TimeSpan next = Timeout.InfiniteTimeSpan;
        foreach (TargetDiscovery job in _jobs)
        {
            TimeSpan look = job.NextLook;
            if (look != Timeout.InfiniteTimeSpan && (next == Timeout.InfiniteTimeSpan || look < next))
                next = look;
        }
        return next;
    }

    /// <summary>Runs until cancelled; returns then without an exception.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                TimeSpan next = Step();
                if (next == TimeSpan.Zero)
                    next = TimeSpan.FromMilliseconds(1);
                await Task.Delay(next > s_longestSleep ? s_longestSleep : next, time, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to end.
        }
    }
}
