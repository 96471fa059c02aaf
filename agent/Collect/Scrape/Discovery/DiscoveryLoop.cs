using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>
/// The asynchronous edge of discovery: looks at all jobs' files and asks their endpoints when they are due, and hands every change on.
/// Run it once; end it by its token.
/// </summary>
/// <param name="jobs">The jobs.</param>
/// <param name="time">The clock.</param>
/// <param name="changed">Gets all jobs' results, first at once and then after each change; called by one thread at a time.</param>
/// <param name="before">What was found before a reload: where a file or endpoint is still named, its groups are known from the start.</param>
public sealed class DiscoveryLoop(IEnumerable<ScrapeConfig> jobs, TimeProvider time, Action<IReadOnlyList<DiscoveredJob>> changed, IReadOnlyList<DiscoveredJob>? before = null)
{
    private static readonly TimeSpan s_longestSleep = TimeSpan.FromDays(1);
    private readonly List<TargetDiscovery> _jobs = [.. jobs.Select(j => new TargetDiscovery(j, time, before?.FirstOrDefault(b => b.Job.JobName == j.JobName)))];
    private readonly List<Request> _requests = [];

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
                StartRequests(cancellation);
                TimeSpan next = Step();
                if (next == TimeSpan.Zero)
                    next = TimeSpan.FromMilliseconds(1);
                await WaitAsync(next > s_longestSleep ? s_longestSleep : next, cancellation);
                TakeAnswers();
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to end. Requests under way end by the same token.
            await Task.WhenAll(_requests.Select(r => (Task)r.Answer)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void StartRequests(CancellationToken cancellation)
    {
        foreach (TargetDiscovery job in _jobs)
        {
            foreach (HttpSdConfig config in job.BeginDueRequests())
                _requests.Add(new Request(job, config, HttpTargetSource.FetchAsync(config, time, cancellation)));
        }
    }

    /// <summary>Waits for the time or an answer, what comes first.</summary>
    private async Task WaitAsync(TimeSpan longest, CancellationToken cancellation)
    {
        if (_requests.Count == 0)
        {
            await Task.Delay(longest, time, cancellation);
            return;
        }
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await Task.WhenAny([Task.Delay(longest, time, waiting.Token), .. _requests.Select(r => r.Answer)]);
        await waiting.CancelAsync();
        cancellation.ThrowIfCancellationRequested();
    }

    private void TakeAnswers()
    {
        foreach (Request request in _requests.FindAll(r => r.Answer.IsCompleted))
        {
            _requests.Remove(request);
            request.Job.Offer(request.Config, request.Answer.GetAwaiter().GetResult());
        }
    }

    private sealed record Request(TargetDiscovery Job, HttpSdConfig Config, Task<ConfigResult<ValueList<TargetGroup>>> Answer);
}
