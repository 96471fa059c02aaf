using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Collect.Scrape.Discovery;

/// <summary>Targets from files on a virtual clock: changes are seen when a look is due, a wrong file costs nothing that was there, a file that is gone does.</summary>
public sealed class FileDiscoveryTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bellwether-discovery-");
    private readonly VirtualTime _time = new();
    private DateTime _written = new(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_changed_file_is_seen_two_seconds_later_however_long_the_refresh_interval_is()
    {
        Write("a.yml", "- targets: [one:1]\n  labels: {site: x}");
        var discovery = new TargetDiscovery(Job("a.yml", seconds: 300), _time);
        Assert.Equal(TimeSpan.Zero, discovery.NextLook);
        Assert.True(discovery.Refresh());
        Assert.Equal("one:1 x", Assert.Single(Targets(discovery)));
        Assert.Equal(TimeSpan.FromSeconds(2), discovery.NextLook);

        Write("a.yml", "- targets: [one:1, two:2]\n  labels: {site: y}");
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(discovery.Refresh());
        Assert.Equal(["one:1 x"], Targets(discovery));
        Assert.Equal(TimeSpan.FromSeconds(1), discovery.NextLook);

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(discovery.Refresh());
        Assert.Equal(["one:1 y", "two:2 y"], Targets(discovery));
        Assert.False(Look(discovery));
    }

    [Fact]
    public async Task A_loop_without_jobs_waits_until_it_is_ended()
    {
        using var stop = new CancellationTokenSource();
        var loop = new DiscoveryLoop([], _time, _ => Assert.Fail("there is nothing to tell"));
        Assert.Equal(Timeout.InfiniteTimeSpan, loop.Step());
        Task running = loop.RunAsync(stop.Token);
        _time.Advance(TimeSpan.FromDays(30));
        Assert.False(running.IsCompleted);
        await stop.CancelAsync();
        await running.WaitAsync(TimeSpan.FromSeconds(120));
        Assert.True(running.IsCompletedSuccessfully);
    }

    [Fact]
    public void An_unchanged_file_changes_nothing()
    {
        Write("a.yml", "- targets: [one:1]");
        TargetDiscovery discovery = Looked(Job("a.yml"));
        DiscoveredJob before = discovery.Current;
        Assert.False(Look(discovery));
        // Another time of writing, the same groups.
        Write("a.yml", "- targets: [one:1]");
        Assert.False(Look(discovery));
        Assert.Same(before, discovery.Current);
    }

    [Fact]
    public void A_wrong_file_keeps_its_last_good_targets_and_says_where_it_is_wrong()
    {
        Write("a.yml", "- targets: [one:1]");
        Write("b.yml", "- targets: [two:2]");
        TargetDiscovery discovery = Looked(Job("*.yml"));
        Write("a.yml", "- targets: [three:3]\n- targats: [four:4]");
        Assert.True(Look(discovery));
        Assert.Equal(["one:1", "two:2"], Targets(discovery));
        Assert.Equal($"{PathOf("a.yml")}:2:3: [1].targats: unknown key 'targats'; did you mean 'targets'?", Assert.Single(discovery.Current.Errors));

        Assert.False(Look(discovery));
        Write("a.yml", "- targets: [three:3]");
        Assert.True(Look(discovery));
        Assert.Equal(["three:3", "two:2"], Targets(discovery));
        Assert.Empty(discovery.Current.Errors);
    }

    [Fact]
    public void A_file_that_was_wrong_from_the_start_has_no_targets_until_it_is_good()
    {
        Write("a.json", "[{\"targets\": [\"one:1\"]},]");
        TargetDiscovery discovery = Looked(Job("a.json"));
        Assert.Empty(Targets(discovery));
        Assert.Contains("a.json", Assert.Single(discovery.Current.Errors), StringComparison.Ordinal);
        Write("a.json", "[{\"targets\": [\"one:1\"]}]");
        Assert.True(Look(discovery));
        Assert.Equal(["one:1"], Targets(discovery));
    }

    [Fact]
    public void A_file_that_is_gone_loses_its_targets()
    {
        Write("a.yml", "- targets: [one:1]");
        TargetDiscovery discovery = Looked(Job("a.yml"));
        File.Delete(PathOf("a.yml"));
        Assert.True(Look(discovery));
        Assert.Empty(Targets(discovery));
        Assert.Equal($"{PathOf("a.yml")}: no such file", Assert.Single(discovery.Current.Errors));
        Assert.False(Look(discovery));
        Write("a.yml", "- targets: [one:1]");
        Assert.True(Look(discovery));
        Assert.Equal(["one:1"], Targets(discovery));
    }

    [Fact]
    public void Files_come_and_go_under_a_glob()
    {
        TargetDiscovery discovery = Looked(Job("*.yml"));
        Assert.Empty(Targets(discovery));
        Assert.Empty(discovery.Current.Errors);
        Write("b.yml", "- targets: [two:2]");
        Write("a.yml", "- targets: [one:1, two:2]");
        Write("c.txt", "- targets: [three:3]");
        Assert.True(Look(discovery));
        Assert.Equal(["one:1", "two:2"], Targets(discovery));
        Assert.Equal(PathOf("a.yml"), discovery.Current.Targets[0].Discovered.Get("__meta_filepath"));
        File.Delete(PathOf("a.yml"));
        Assert.True(Look(discovery));
        Assert.Equal(["two:2"], Targets(discovery));
        Assert.Empty(discovery.Current.Errors);
    }

    [Fact]
    public void Above_target_limit_none_is_scraped_and_below_all_are_again()
    {
        Write("a.yml", "- targets: [one:1, two:2, three:3]");
        TargetDiscovery discovery = Looked(Job("a.yml") with { TargetLimit = 2 });
        Assert.Empty(discovery.Current.Targets);
        Assert.Equal("job 'j' has 3 targets, above its target_limit 2: none is scraped", Assert.Single(discovery.Current.Errors));
        // Twins count once.
        Write("a.yml", "- targets: [one:1, two:2, two:2]");
        Assert.True(Look(discovery));
        Assert.Equal(["one:1", "two:2"], Targets(discovery));
        Assert.Empty(discovery.Current.Errors);
    }

    [Fact]
    public void A_target_that_makes_no_sense_costs_only_itself()
    {
        Write("a.yml", "- targets: [\"http://one:1/metrics\", two:2]");
        TargetDiscovery discovery = Looked(Job("a.yml"));
        Assert.Equal(["two:2"], Targets(discovery));
        Assert.Contains("'http://one:1/metrics' is not a target", Assert.Single(discovery.Current.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public void The_loop_tells_at_once_and_then_only_changes_in_each_jobs_own_rhythm()
    {
        Write("a.yml", "- targets: [one:1]");
        Write("b.yml", "- targets: [two:2]");
        var told = new List<string>();
        ScrapeConfig fixedJob = new() { JobName = "s", StaticConfigs = [new TargetGroup { Targets = [Labels.Of("__address__", "static:1")] }] };
        ScrapeConfig slow = Job("b.yml", seconds: 60);
        var loop = new DiscoveryLoop([fixedJob, Job("a.yml", seconds: 1), slow], _time, jobs => told.Add(string.Join(" ", jobs.Select(j => string.Join(",", j.Targets.Select(t => t.Labels.Get("instance")))))));
        Assert.Equal(TimeSpan.FromSeconds(1), loop.Step());
        Assert.Equal(["static:1 one:1 two:2"], told);

        Write("b.yml", "- targets: [three:3]");
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.FromSeconds(1), loop.Step());
        Assert.Single(told);

        Write("a.yml", "- targets: [four:4]");
        _time.Advance(TimeSpan.FromSeconds(1));
        loop.Step();
        Assert.Equal("static:1 four:4 three:3", told[1]);
    }

    [Fact]
    public async Task The_loop_runs_on_its_clock_and_ends_by_its_token()
    {
        Write("a.yml", "- targets: [one:1]");
        var told = new List<string>();
        using var stop = new CancellationTokenSource();
        var loop = new DiscoveryLoop([Job("a.yml")], _time, jobs => told.Add(string.Join(",", jobs[0].Targets.Select(t => t.Labels.Get("instance")))));
        // Runs up to its first wait before it returns.
        Task running = loop.RunAsync(stop.Token);
        Assert.Equal(["one:1"], told);
        await stop.CancelAsync();
        await running.WaitAsync(TimeSpan.FromSeconds(120));
        Assert.True(running.IsCompletedSuccessfully);
    }

    [Fact]
    public void A_reload_while_a_file_is_wrong_keeps_its_last_good_targets()
    {
        Write("a.yml", "- targets: [one:1]");
        TargetDiscovery discovery = Looked(Job("a.yml"));
        Write("a.yml", "- targets: [");
        var after = new TargetDiscovery(Job("a.yml") with { SampleLimit = 5 }, _time, discovery.Current);
        Assert.True(after.Refresh());
        Assert.Equal(["one:1"], Targets(after));
        Assert.Single(after.Current.Errors);
        var elsewhere = new TargetDiscovery(Job("b*.yml"), _time, discovery.Current);
        Assert.True(elsewhere.Refresh());
        Assert.Empty(Targets(elsewhere));
    }

    private static IEnumerable<string> Targets(TargetDiscovery discovery) => discovery.Current.Targets.Select(t => $"{t.Labels.Get("instance")} {t.Labels.Get("site")}".TrimEnd());

    private TargetDiscovery Looked(ScrapeConfig job)
    {
        var discovery = new TargetDiscovery(job, _time);
        Assert.True(discovery.Refresh());
        return discovery;
    }

    private bool Look(TargetDiscovery discovery)
    {
        _time.Advance(discovery.NextLook);
        return discovery.Refresh();
    }

    private ScrapeConfig Job(string files, int seconds = 30) =>
        new() { JobName = "j", FileSdConfigs = [new FileSdConfig { Files = [PathOf(files)], RefreshInterval = TimeSpan.FromSeconds(seconds) }] };

    private string PathOf(string file) => Path.Combine(_folder.FullName, file);

    private void Write(string file, string text)
    {
        File.WriteAllText(PathOf(file), text);
        // Two writings within the file system's resolution must still be told apart.
        _written += TimeSpan.FromSeconds(1);
        File.SetLastWriteTimeUtc(PathOf(file), _written);
    }
}
