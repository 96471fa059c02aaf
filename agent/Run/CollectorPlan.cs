using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Bellwether.Agent.Collect;
using Bellwether.Agent.Collect.Host;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Agent.Collect.Scrape;
using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Agent.Collect.Self;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Status;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Relabel;
using Bellwether.Core.Exposition;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Run;

/// <summary>
/// Which collectors are to run, made from a configuration and the discovered targets. What has not changed keeps its collector, and so its rhythm, its table and its connection: a
/// reload loses no scrape. Not thread-safe.
/// </summary>
internal sealed partial class CollectorPlan : IDisposable
{
    private static readonly TimeSpan s_selfInterval = TimeSpan.FromSeconds(15);
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _log;
    private readonly ScrapeMetrics _scrapeMetrics;
    private readonly SelfCollector _self;
    private readonly BodyBuffers _bodies = new();
    private readonly string _agentId;
    private readonly List<SourceStatus> _refused = [];
    private Dictionary<object, ICollector> _collectors = [];
    private Dictionary<ScrapeConfig, ScrapeHttp> _clients = [];
    private List<ScrapeHttp> _retired = [];

    public CollectorPlan(string agentId, SelfMetrics selfMetrics, Meter meter, TimeProvider time, ILoggerFactory loggers)
    {
        _agentId = agentId;
        _time = time;
        _loggers = loggers;
        _log = loggers.CreateLogger<CollectorPlan>();
        _scrapeMetrics = new ScrapeMetrics(meter);
        _self = new SelfCollector(selfMetrics, agentId, s_selfInterval);
    }

    /// <summary>The collectors as they are now.</summary>
    public IReadOnlyCollection<ICollector> Collectors => _collectors.Values;

    /// <summary>The source of each collector and the job that it belongs to.</summary>
    public IEnumerable<(string Source, string Job)> Jobs => _collectors.Select(c => (c.Value.Name, c.Key switch
    {
        (ScrapeConfig job, ScrapeTarget, string) => job.JobName,
        PostgresSection postgres => postgres.Job,
        HostSection host => host.Job,
        _ => SelfCollector.Job,
    }));

    /// <summary>What the configuration asks for and cannot run, with the reason; for status.</summary>
    public IReadOnlyList<SourceStatus> Refused => [.. _refused];

    /// <summary>Makes the plan anew and returns its collectors, old ones among them.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="jobs">The targets of each job.</param>
    public IReadOnlyList<ICollector> Make(AgentConfig config, IReadOnlyList<DiscoveredJob> jobs)
    {
        // Connections of jobs that went at the time before: their last scrape is over by now.
        foreach (ScrapeHttp http in _retired)
            http.Dispose();
        _refused.Clear();
        var next = new Dictionary<object, ICollector> { [typeof(SelfCollector)] = _self };
        if (config.Collectors.Host is { Enabled: true } host)
            Keep(next, host, () => new HostCollector(host.ToOptions(_agentId), _time));
        foreach (PostgresSection server in config.Collectors.Postgres)
            Keep(next, server, () => new PostgresCollector(server.ToOptions(), _time, _loggers.CreateLogger<PostgresCollector>()));
        var clients = new Dictionary<ScrapeConfig, ScrapeHttp>();
        foreach (DiscoveredJob job in jobs)
            AddTargets(next, clients, job.Job, job.Targets);
        _retired = [.. _clients.Where(c => !clients.ContainsKey(c.Key)).Select(c => c.Value)];
        _clients = clients;
        _collectors = next;
        return [.. next.Values];
    }

    public void Dispose()
    {
        foreach (ScrapeHttp http in _retired.Concat(_clients.Values))
            http.Dispose();
    }

    private void AddTargets(Dictionary<object, ICollector> next, Dictionary<ScrapeConfig, ScrapeHttp> clients, ScrapeConfig job, IReadOnlyList<ScrapeTarget> found)
    {
        ScrapeHttp? http = _clients.GetValueOrDefault(job);
        if (http is null)
        {
            try
            {
                http = new ScrapeHttp(job);
            }
            catch (Exception e) when (e is IOException or CryptographicException or UnauthorizedAccessException)
            {
                JobCannotRun(_log, job.JobName, e.Message);
                _refused.Add(new SourceStatus($"job {job.JobName}", (long)job.ScrapeInterval.TotalMilliseconds, 0, 0, $"cannot run: {e.Message}"));
                return;
            }
        }
        clients[job] = http;
        var names = new Dictionary<string, int>();
        foreach (ScrapeTarget target in found)
        {
            // Two targets may share a URL and differ in labels.
            string name = ScrapeCollector.SourceName(job, target);
            int twins = names[name] = names.GetValueOrDefault(name) + 1;
            if (twins > 1)
                name = $"{name}#{twins}";
            Keep(next, (job, target, name), () => new ScrapeCollector(name, job, target, http, _time, _scrapeMetrics, _bodies));
        }
    }

    private void Keep(Dictionary<object, ICollector> next, object key, Func<ICollector> make)
    {
        if (next.ContainsKey(key))
            return;
        if (_collectors.TryGetValue(key, out ICollector? old))
        {
            next[key] = old;
            return;
        }
        try
        {
            next[key] = make();
        }
        catch (Exception e) when (e is ArgumentException or IOException or UnauthorizedAccessException)
        {
            CollectorCannotRun(_log, NameOf(key), e.Message);
            _refused.Add(new SourceStatus(NameOf(key), 0, 0, 0, $"cannot run: {e.Message}"));
        }
    }

    private static string NameOf(object key) => key switch
    {
        PostgresSection postgres => $"the PostgreSQL collector '{(postgres.Instance.Length > 0 ? postgres.Instance : postgres.Host.Length > 0 ? postgres.Host : "of a dsn")}'",
        HostSection => "the host collector",
        _ => "a scrape",
    };

    [LoggerMessage(1301, LogLevel.Error, "job {Job} cannot run: {Reason}")]
    private static partial void JobCannotRun(ILogger log, string job, string reason);

    [LoggerMessage(1302, LogLevel.Error, "{Collector} cannot run: {Reason}")]
    private static partial void CollectorCannotRun(ILogger log, string collector, string reason);
}
