using System.Globalization;

namespace Bellwether.Bench.Delivery;

/// <summary>All measures of one subject, one after the other.</summary>
internal sealed class DeliveryRun(bool quick, TimeProvider time, Action<string> tell)
{
    /// <summary>An answer that came so shortly before a kill, and of which nothing arrived, was in flight: nobody can have kept it.</summary>
    private const long InFlightMs = 100;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_recoveryMax = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan s_stopMax = TimeSpan.FromSeconds(120);

    private TimeSpan Warm => TimeSpan.FromSeconds(quick ? 10 : 30);

    /// <summary>In full: a whole segment of ours, whose first records name every series again.</summary>
    private TimeSpan Steady => TimeSpan.FromSeconds(quick ? 30 : 310);

    private TimeSpan Outage => TimeSpan.FromSeconds(quick ? 30 : 120);

    private TimeSpan Down => TimeSpan.FromSeconds(quick ? 15 : 40);

    private int Kills => quick ? 1 : 5;

    /// <summary>CPU and memory with 100 targets.</summary>
    public async Task ManyAsync(Subject subject, DeliveryFigures figures, CancellationToken cancel)
    {
        subject.Proxy.Up();
        subject.Start();
        (figures.CpuPerMillion100, figures.RssMb100, _) = await SteadyAsync(subject, cancel);
    }

    /// <summary>Everything that is measured with 20 targets.</summary>
    public async Task AllAsync(Subject subject, DeliveryFigures figures, CancellationToken cancel)
    {
        subject.Proxy.Up();
        subject.Start();
        (figures.CpuPerMillion20, figures.RssMb20, figures.WireBytesPerSample) = await SteadyAsync(subject, cancel);
        Tell(subject, $"CPU {figures.CpuPerMillion20:F2} s per million samples, RSS {figures.RssMb20:F0} MB, {figures.WireBytesPerSample:F2} wire bytes per sample");
        long lost = await LostAsync(subject, [], cancel);

        await OutageAsync(subject, figures, cancel);
        Tell(subject, $"{figures.SpoolBytesPerSample:F2} spool bytes per sample, backlog of {Outage.TotalSeconds:F0} s recovered in {figures.RecoverySeconds:F1} s");
        lost = await LostAsync(subject, [], cancel);

        var kills = new List<long>();
        var perKill = new List<double>();
        for (int n = 0; n < Kills; n++)
        {
            await WaitAsync(TimeSpan.FromSeconds(4 + (n * 1.7)), cancel);
            kills.Add(Now());
            await subject.Agent.KillAsync();
            subject.Start();
            long now = await LostAsync(subject, kills, cancel);
            perKill.Add(now - lost);
            lost = now;
        }
        figures.LostPerKill = perKill.Order().ElementAt(perKill.Count / 2);
        Tell(subject, $"lost per kill -9: {string.Join(", ", perKill)}");

        subject.Proxy.Down();
        await WaitAsync(Down, cancel);
        kills.Add(Now());
        await subject.Agent.KillAsync();
        subject.Start();
        await WaitAsync(TimeSpan.FromSeconds(2), cancel);
        subject.Proxy.Up();
        long afterKill = await LostAsync(subject, kills, cancel);
        figures.LostDownKill = afterKill - lost;
        Tell(subject, $"lost at sink down {Down.TotalSeconds:F0} s, kill -9, restart: {figures.LostDownKill}");

        subject.Proxy.Down();
        await WaitAsync(Down, cancel);
        kills.Add(Now());
        long stop = time.GetTimestamp();
        subject.Agent.Signal("TERM");
        using (var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel))
        {
            limit.CancelAfter(s_stopMax);
            await subject.Agent.EndedAsync(limit.Token);
        }
        figures.StopSeconds = time.GetElapsedTime(stop).TotalSeconds;
        subject.Start();
        await WaitAsync(TimeSpan.FromSeconds(2), cancel);
        subject.Proxy.Up();
        figures.LostDownTerm = await LostAsync(subject, kills, cancel) - afterKill;
        (figures.Doubled, figures.OutOfOrder) = await subject.FaultsAsync(cancel);
        Tell(subject, $"lost at sink down, SIGTERM, restart: {figures.LostDownTerm}; stopped in {figures.StopSeconds:F1} s; doubled {figures.Doubled}, out of order {figures.OutOfOrder}");
    }

    private async Task<(double CpuPerMillion, double RssMb, double WireBytes)> SteadyAsync(Subject subject, CancellationToken cancel)
    {
        await WaitAsync(Warm, cancel);
        ProcessUse before = ProcessUse.Of(subject.Agent.Id);
        long wire = subject.Proxy.SentBytes, completed = subject.Targets.Completed;
        await WaitAsync(Steady, cancel);
        ProcessUse after = ProcessUse.Of(subject.Agent.Id);
        double samples = (subject.Targets.Completed - completed) * (double)BenchTargets.Series;
        return ((after.CpuSeconds - before.CpuSeconds) / samples * 1e6, after.RssBytes / 1e6, (subject.Proxy.SentBytes - wire) / samples);
    }

    private async Task OutageAsync(Subject subject, DeliveryFigures figures, CancellationToken cancel)
    {
        long spool = await subject.SpoolBytesAsync(), completed = subject.Targets.Completed;
        subject.Proxy.Down();
        await WaitAsync(Outage, cancel);
        figures.SpoolBytesPerSample = (await subject.SpoolBytesAsync() - spool) / ((subject.Targets.Completed - completed) * (double)BenchTargets.Series);
        long upMs = Now();
        long expected = subject.Targets.Until(upMs - 1000).Count;
        long began = time.GetTimestamp();
        subject.Proxy.Up();
        while (await subject.StoredAsync(upMs, scrapesOnly: true, cancel) < expected && time.GetElapsedTime(began) < s_recoveryMax)
            await WaitAsync(s_poll, cancel);
        figures.RecoverySeconds = time.GetElapsedTime(began).TotalSeconds;
    }

    /// <summary>Samples that were answered until a quiet moment now and are not at the sink, once what is missing no longer grows less.</summary>
    private async Task<long> LostAsync(Subject subject, List<long> kills, CancellationToken cancel)
    {
        // A restarted agent has to scrape and send again before what is missing can be told from what is late.
        await WaitAsync(TimeSpan.FromSeconds(7), cancel);
        long untilMs = subject.Targets.QuietMoment();
        IReadOnlyList<Answer> answers = subject.Targets.Until(untilMs);
        long inFlight = answers.Count(a => kills.Exists(k => k >= a.CompletedMs && k - a.CompletedMs <= InFlightMs));
        long best = long.MaxValue;
        long since = time.GetTimestamp();
        while (best > 0 && time.GetElapsedTime(since) < TimeSpan.FromSeconds(quick ? 5 : 35))
        {
            long missing = (answers.Count * (long)BenchTargets.Series) - await subject.StoredAsync(untilMs, scrapesOnly: false, cancel);
            if (missing < best)
            {
                best = missing;
                since = time.GetTimestamp();
            }
            if (best > 0)
                await WaitAsync(TimeSpan.FromSeconds(1), cancel);
        }
        return Math.Max(0, best - (inFlight * BenchTargets.Series));
    }

    private void Tell(Subject subject, FormattableString text) => tell($"  {subject.Name,-18} {text.ToString(CultureInfo.InvariantCulture)}");

    private Task WaitAsync(TimeSpan length, CancellationToken cancel) => Task.Delay(length, time, cancel);

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
