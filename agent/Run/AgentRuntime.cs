using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Agent.Bundles;
using Bellwether.Agent.Collect;
using Bellwether.Agent.Collect.Postgres;
using Bellwether.Agent.Collect.Scrape;
using Bellwether.Agent.Collect.Scrape.Discovery;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Status;
using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Run;

/// <summary>
/// The running agent, wired in the data's order: collect, encode, spool, stream.
/// 1. the spool is opened; 2. the stream begins (backlog first waits behind live data); 3. the scheduler runs the collectors of the plan; 4. discovery and reloads make the plan anew;
/// 5. stopping: the scheduler first, then the last sync, then the stream drains and says goodbye.
/// </summary>
internal sealed partial class AgentRuntime : IAsyncDisposable
{
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _planGate = new();
    private readonly CancellationTokenSource _stopCollecting = new();
    private readonly CancellationTokenSource _stopStream = new();
    private readonly Meter _meter = new(MetricNames.Meter);
    private readonly SelfMetrics _selfMetrics;
    private readonly PrioritySpool _spool;
    private readonly ConcurrentDictionary<string, SpoolPriority> _priorities = new(StringComparer.Ordinal);
    private readonly SpoolSink _sink;
    private readonly StreamClient _stream;
    private readonly TargetFacts _targets;
    private readonly CollectorPlan _plan;
    private readonly ScrapeScheduler _scheduler;
    private readonly long _startedMs;
    private readonly Task[] _running;
    private readonly StatusSocket? _status;
    private readonly AgentConfig _first;
    private AgentConfig _config;
    private IReadOnlyList<DiscoveredJob> _jobs = [];
    private CancellationTokenSource? _stopDiscovery;
    private Task _discovering = Task.CompletedTask;
    private ReloadOutcome _reload;

    /// <summary>Starts everything. Throws <see cref="IOException"/> when the spool's folder cannot be had, <see cref="CryptographicException"/> for unreadable certificates.</summary>
    public AgentRuntime(AgentConfig config, TimeProvider time, ILoggerFactory loggers)
    {
        _first = config;
        _config = config;
        _time = time;
        _log = loggers.CreateLogger<AgentRuntime>();
        _startedMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        Random random = ProcessRandom.Create();
        _selfMetrics = new SelfMetrics(_meter, ProcessMetrics.Collect);
        _reload = new ReloadOutcome(_startedMs, []);
        _meter.CreateObservableGauge(MetricNames.AgentReloadSuccessful, () => Volatile.Read(ref _reload).Errors.Count == 0 ? 1 : 0, description: "Whether the last reading of the configuration was taken.");
        _meter.CreateObservableGauge(MetricNames.AgentReloadTime, () => Volatile.Read(ref _reload).TakenMs / 1000.0, description: "Unix seconds when a configuration was taken last.");
        SpoolOptions spoolOptions = SpoolOptionsOf(config);
        _spool = Opening($"spool.path {config.Spool.Path}", () => PrioritySpool.Open(new OsDisk(), config.Spool.Path, spoolOptions, time, random, _meter, source => _priorities.GetValueOrDefault(source, SpoolPriority.Normal)));
        _sink = new SpoolSink(_spool, time, loggers.CreateLogger<SpoolSink>());
        _targets = new TargetFacts(config.Agent.Id, name => _sink.NewestOf(name).TimestampMs);
        _stream = new StreamClient(StreamOptionsOf(config), IdentityOf(config), _spool, _sink, new StreamClientDependencies(time, ProcessRandom.Create(), _meter, loggers.CreateLogger<StreamClient>()) { Targets = _targets, Ledger = _spool });
        _sink.Durable = _stream.RecordsAppended;
        _plan = new CollectorPlan(config.Agent.Id, _selfMetrics, _meter, time, loggers);
        _scheduler = new ScrapeScheduler(time, _sink, new ScrapeSchedulerOptions { OffsetSeed = Labels.Of("agent", config.Agent.Id).Hash }, _meter, loggers.CreateLogger<ScrapeScheduler>());
        _sink.Watermark = () => _scheduler.WatermarkMs;
        var bundles = new BundleService(() => Volatile.Read(ref _config), _spool, VersionText, time, ProcessRandom.Create());
        _status = config.Status.Socket.Length > 0 ? Opening($"status.socket {config.Status.Socket}", () => StatusSocket.Open(config.Status.Socket, StatusNow, bundles.AnswerAsync)) : null;
        Opened(_log, config.Agent.Id, VersionText, config.Spool.Path, _spool.Records);
        foreach (LostRange lost in _spool.Lost)
            SpoolDamaged(_log, lost.File, lost.Offset, lost.Reason, lost.NextSequence - lost.FirstSequence);
        if (_spool.Statistics is { LockedSegments: > 0 } locked)
            SpoolLocked(_log, locked.LockedSegments, locked.LockedReason ?? "");
        Apply(config);
        _running = [_sink.RunAsync(_stopCollecting.Token), .. Carrying(config, loggers)];
    }

    /// <summary>What takes the records away: the stream, or the outbox where there is no network, or both.</summary>
    private IEnumerable<Task> Carrying(AgentConfig config, ILoggerFactory loggers)
    {
        if (config.Aggregators.Count > 0)
            yield return _stream.RunAsync(_stopStream.Token);
        if (config.Bundle.Outbox is { } outbox)
            yield return new BundleOutbox(outbox, () => Volatile.Read(ref _config), _spool, new OsDisk(), _time, ProcessRandom.Create(), _meter, loggers.CreateLogger<BundleOutbox>()).RunAsync(_stopStream.Token);
    }

    /// <summary>The spool's bounds as the configuration has them.</summary>
    internal static SpoolOptions SpoolOptionsOf(AgentConfig config) =>
        new() { BytesMax = config.Spool.MaxSize.Bytes, AgeMax = config.Spool.MaxAge, WhenFull = config.Spool.WhenFull, Keys = SpoolKeys.Load([.. config.Spool.Encryption]) };

    /// <summary>The program's version.</summary>
    public static string VersionText { get; } = typeof(AgentRuntime).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    /// <summary>Ticks handed to the spool since the start.</summary>
    public long Ticks => _sink.Ticks;

    /// <summary>Why a part that must run for ever has ended by itself (a bug); null: all is well.</summary>
    public Exception? Failure => _running.Append(_discovering).FirstOrDefault(t => t.IsFaulted)?.Exception;

    /// <summary>How many collectors run.</summary>
    public int CollectorCount => _scheduler.Count;

    /// <summary>Notes that a new configuration was refused and why; the one in force stays. For metrics and status.</summary>
    public void Refuse(IReadOnlyList<string> errors) => Volatile.Write(ref _reload, Volatile.Read(ref _reload) with { Errors = errors });

    /// <summary>Takes what may change while running; what needs a restart is named in the log.</summary>
    public void Apply(AgentConfig config)
    {
        lock (_planGate)
        {
            if (config != _first with { Log = config.Log, Collectors = config.Collectors, Global = config.Global, ScrapeConfigs = config.ScrapeConfigs })
                NeedsRestart(_log);
            _config = config;
            _stopDiscovery?.Cancel();
            _stopDiscovery?.Dispose();
            _stopDiscovery = CancellationTokenSource.CreateLinkedTokenSource(_stopCollecting.Token);
            IReadOnlyList<DiscoveredJob> before = _jobs;
            _jobs = [];
            CancellationToken stop = _stopDiscovery.Token;
            var discovery = new DiscoveryLoop(config.ScrapeConfigs, _time, jobs => TakeTargets(jobs, stop), before);
            // The first look is made here, so that a plan is never made without the targets that are known.
            discovery.Step();
            MakePlanLocked();
            _discovering = Task.WhenAll(_discovering, discovery.RunAsync(stop));
            Volatile.Write(ref _reload, new ReloadOutcome(_time.GetUtcNow().ToUnixTimeMilliseconds(), []));
        }
    }

    /// <summary>How everything is.</summary>
    public AgentStatus StatusNow()
    {
        SpoolStatistics spool = _spool.Statistics;
        StreamStatistics stream = _stream.Statistics;
        IReadOnlyCollection<ICollector> collectors;
        IReadOnlyList<SourceStatus> refused;
        lock (_planGate)
        {
            collectors = _plan.Collectors;
            refused = _plan.Refused;
        }
        ReloadOutcome reload = Volatile.Read(ref _reload);
        return new AgentStatus
        {
            Id = _first.Agent.Id,
            Version = VersionText,
            StartedMs = _startedMs,
            NowMs = _time.GetUtcNow().ToUnixTimeMilliseconds(),
            Aggregator = stream.Address.Length > 0 ? stream.Address : _first.Aggregators.Count > 0 ? _first.Aggregators[0].Address : "",
            Connected = stream.Connected,
            LastError = stream.LastError,
            AcknowledgedRecords = _spool.AcknowledgedRecords,
            SentBytes = stream.BytesSent,
            SpoolBytes = spool.Bytes,
            SpoolRecords = spool.Records,
            SpoolOldestMs = spool.OldestMs,
            DroppedSamples = spool.Dropped.Sum(d => d.Samples),
            DroppedWhy = string.Join(", ", spool.Dropped.GroupBy(d => d.Reason).Select(g => string.Create(CultureInfo.InvariantCulture, $"{g.Key} {g.Sum(d => d.Samples)}"))),
            Locked = spool.LockedSegments > 0 ? string.Create(CultureInfo.InvariantCulture, $"{spool.LockedSegments} segments are locked and kept: {spool.LockedReason}") : "",
            ReloadedMs = reload.TakenMs,
            ReloadErrors = reload.Errors,
            Sources = [.. collectors.Select(SourceOf).Concat(refused).OrderBy(s => s.Name, StringComparer.Ordinal)],
        };
    }

    /// <summary>Stops in the data's order, within <c>stop.timeout</c>: a last scrape, its sync and the end marker, then the stream drains and says goodbye.</summary>
    public async ValueTask DisposeAsync()
    {
        await _scheduler.StopAsync(_first.Stop.LastScrape, _first.Stop.Timeout * 0.4);
        await _stopCollecting.CancelAsync();
        _spool.MarkStop();
        _stream.RecordsAppended();
        await _stopStream.CancelAsync();
        await Task.WhenAll(_running);
        await _discovering;
        _stopDiscovery?.Dispose();
        if (_status is not null)
            await _status.DisposeAsync();
        await _scheduler.DisposeAsync();
        _plan.Dispose();
        _spool.Dispose();
        _selfMetrics.Dispose();
        _meter.Dispose();
        _stopCollecting.Dispose();
        _stopStream.Dispose();
    }

    private void MakePlanLocked()
    {
        IReadOnlyList<ICollector> collectors = _plan.Make(_config, _jobs);
        foreach ((string source, string job) in _plan.Jobs)
        {
            // Sources that go keep theirs: their last tick may be under way.
            if (_first.Spool.Priorities.FirstOrDefault(p => p.Job == job) is { } named)
                _priorities[source] = named.Priority;
        }
        _scheduler.Replace(collectors);
        _targets.Take(collectors, _jobs);
        _sink.KeepOnly(collectors.Select(c => c.Name).ToHashSet());
        Planned(_log, collectors.Count);
    }

    private void TakeTargets(IReadOnlyList<DiscoveredJob> jobs, CancellationToken stop)
    {
        lock (_planGate)
        {
            // A loop that a reload has ended may still be at its last look.
            if (stop.IsCancellationRequested)
                return;
            bool first = _jobs.Count == 0;
            _jobs = jobs;
            foreach (DiscoveredJob job in jobs)
            {
                foreach (string error in job.Errors)
                    TargetsWrong(_log, job.Job.JobName, error);
            }
            if (!first)
                MakePlanLocked();
        }
    }

    private SourceStatus SourceOf(ICollector collector)
    {
        string error = collector switch
        {
            ScrapeCollector scrape => scrape.Status.LastError,
            PostgresCollector postgres => postgres.LastError ?? "",
            _ => "",
        };
        (long newestMs, int samples) = _sink.NewestOf(collector.Name);
        return new SourceStatus(collector.Name, (long)collector.Interval.TotalMilliseconds, newestMs, samples, error);
    }

    private static StreamIdentity IdentityOf(AgentConfig config)
    {
        var labels = new Dictionary<string, string>();
        foreach (Label label in config.Agent.Labels.AsSpan())
            labels[label.Name] = label.Value;
        return new StreamIdentity
        {
            AgentId = config.Agent.Id,
            Version = VersionText,
            ProcessId = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)) + "-" + Environment.ProcessId.ToString(CultureInfo.InvariantCulture),
            Labels = labels,
        };
    }

    private static StreamOptions StreamOptionsOf(AgentConfig config) => new()
    {
        Aggregators = [.. config.Aggregators.Select(a => AddressOf(a) with { Renew = () => AddressOf(a) })],
        BandwidthLimit = config.Stream.BandwidthLimit.Bytes,
        ReturnInterval = config.Stream.ReturnInterval,
        DrainTimeout = config.Stop.Timeout / 2,
    };

    private static AggregatorAddress AddressOf(AggregatorSection section)
    {
        X509Certificate2Collection? roots = null;
        if (section.Tls is { CaFile.Length: > 0 } tls)
        {
            roots = [];
            roots.ImportFromPemFile(tls.CaFile);
        }
        return new AggregatorAddress
        {
            Uri = section.Uri,
            Token = section.TokenFile.Length > 0 ? ReadToken(section.TokenFile) : section.Token?.Reveal(),
            TrustedRoots = roots,
            ClientCertificate = section.Tls is { CertFile.Length: > 0 } own ? X509Certificate2.CreateFromPemFile(own.CertFile, own.KeyFile) : null,
            ClientCertificateFile = section.Tls is { CertFile.Length: > 0 } shown ? shown.CertFile : null,
            ServerName = section.Tls is { ServerName.Length: > 0 } named ? named.ServerName : null,
            AllowPlaintext = section.AllowPlaintext,
        };
    }

    /// <summary>Opens something that a setting names; when that fails, the error names the setting.</summary>
    private static T Opening<T>(string setting, Func<T> open)
    {
        try
        {
            return open();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            throw new IOException($"{setting}: {e.Message}", e);
        }
    }

    private static string ReadToken(string file)
    {
        string token = File.ReadAllText(file).Trim();
        return token.Length > 0 ? token : throw new IOException($"{file} (token_file) holds no token");
    }

    /// <summary>How the last reading of the configuration ended: when one was taken last, and why the one after it was refused.</summary>
    private sealed record ReloadOutcome(long TakenMs, IReadOnlyList<string> Errors);

    [LoggerMessage(1321, LogLevel.Information, "agent {Id} {Version}: spool {Folder} holds {Records} records not yet acknowledged")]
    private static partial void Opened(ILogger log, string id, string version, string folder, long records);

    [LoggerMessage(1322, LogLevel.Information, "{Count} collectors run")]
    private static partial void Planned(ILogger log, int count);

    [LoggerMessage(1324, LogLevel.Error, "job {Job}: {Error}")]
    private static partial void TargetsWrong(ILogger log, string job, string error);

    [LoggerMessage(1325, LogLevel.Error, "the spool's file {File} is damaged at {Offset}: {Reason}. Records lost there: {Frames}; what stands behind them in their segments needs them and is lost too, counted as dropped (damaged); the rest goes on")]
    private static partial void SpoolDamaged(ILogger log, ulong file, long offset, string reason, ulong frames);

    [LoggerMessage(1326, LogLevel.Error, "{Segments} segments of the spool cannot be read: {Reason}. They stay as they are and are sent once their key is in spool.encryption; what is collected from now on is not affected")]
    private static partial void SpoolLocked(ILogger log, int segments, string reason);

    [LoggerMessage(1323, LogLevel.Warning, "the new configuration changes agent, aggregators, spool, status or watchdog: these take effect at the next start")]
    private static partial void NeedsRestart(ILogger log);
}
