using System.Buffers;
using System.Diagnostics.Metrics;
using System.Reflection;
using System.Security.Cryptography;
using Bellwether.Aggregator.Bundles;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Core.Exposition;
using Bellwether.Core.Grpc.Server;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Ingest;
using Bellwether.Ingest.Bundles;
using Bellwether.Ingest.Completeness;
using Bellwether.Serve.Console;
using Bellwether.Serve.Fleet;
using Bellwether.Serve.QueryApi;
using Bellwether.Serve.RemoteWrite;
using Bellwether.Serve.Rest;
using Bellwether.Store;
using Bellwether.Store.Upkeep;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// The running aggregator, wired in the data's order: ingest, store, evaluate, serve, forward.
/// 1. the store opens and replays; 2. forwarding taps its commits; 3. the engine and the rules stand on its reader; 4. the agents' door and the HTTP faces open; 5. stopping closes the doors
/// first, then the rules, then the store.
/// </summary>
internal sealed partial class AggregatorServer : IAsyncDisposable
{
    private static readonly TimeSpan s_doorsClose = TimeSpan.FromSeconds(5);
    private readonly string _file;
    private readonly TimeProvider _time;
    private readonly ITimer _quiet;
    private readonly LineLoggerFactory _loggers;
    private readonly ILogger _log;
    private readonly Meter _meter = new(MetricNames.Meter);
    private readonly CancellationTokenSource _stop = new();
    private readonly SelfMetrics _selfMetrics;
    private readonly StoreWriter _store;
    private readonly StoreScrub _scrub;
    private readonly RemoteWriteForwarder? _forwarder;
    private readonly CompletenessKeeper _completeness;
    private readonly SynthesisedReader _reader;
    private readonly AgentFleet _fleet;
    private readonly TokenAuthenticator _authenticator;
    private readonly RuleEngine _rules;
    private readonly KpiBook _kpis;
    private readonly KpiEndpoints _kpiEndpoints;
    private readonly SlaEndpoints _slaEndpoints;
    private readonly SloEndpoints _sloEndpoints;
    private readonly QueryApi _api;
    private readonly RemoteWriteReceiver _receiver;
    private readonly HealthService _health = new();
    private readonly WebApplication _grpc;
    private readonly WebApplication _http;
    private readonly BundleInbox _inbox;
    private readonly LateHealer _healer;
    private readonly HealBook _heals;
    private readonly HealDesk _desk;
    private readonly HealEndpoints _healEndpoints;
    private readonly NewRules _newRules;
    private readonly DefinitionsKeeper _definitions;
    private readonly Listeners _listeners;
    private readonly DefinitionBook _sloVersions;
    private readonly Lock _reloadGate = new();
    private readonly AggregatorConfig _first;
    private AggregatorConfig _config;
    private Task[] _running = [];
    private ConfigState _configState;
    private AggregatorService? _service;
    private bool _ready;

    /// <summary>Opens the store and prepares everything. Throws <see cref="IOException"/> when a folder cannot be had, <see cref="CryptographicException"/> for unreadable certificates.</summary>
    public AggregatorServer(string file, AggregatorConfig config, TimeProvider time, LineLoggerFactory loggers)
    {
        _file = file;
        _first = config;
        _config = config;
        _time = time;
        _loggers = loggers;
        _log = loggers.CreateLogger<AggregatorServer>();
        _selfMetrics = new SelfMetrics(_meter, ProcessMetrics.Collect);
        MakeDataFolder(config.DataDir);
        var disk = new OsDisk();
        // The forwarder is there before the store, which tells it at opening what it does not hold yet.
        if (config.RemoteWrite.Count > 0)
        {
            var queue = new ForwardQueueOptions { Folder = Path.Combine(config.DataDir, "forward") };
            var around = new ForwardSurroundings(config.Global.ExternalLabels, () => _store!.Reader.AllMetadata(), _meter, RemoteWriteForwarder.DefaultHandler);
            _forwarder = new RemoteWriteForwarder(queue, config.RemoteWrite, around, disk, time, loggers.CreateLogger<RemoteWriteForwarder>());
        }
        _store = StoreWriter.Open(ConfiguredOptions.Store(config), disk, time, ProcessRandom.Create(), _meter, loggers.CreateLogger<StoreWriter>(), _forwarder);
        _scrub = new StoreScrub(_store.Engine, config.DataDir, new StoreScrubOptions(), disk, time, _meter, loggers.CreateLogger<StoreScrub>());
        var ingest = new IngestOptions { MaxAgents = config.Limits.MaxAgents };
        CompletenessOptions completeness = ConfiguredOptions.Completeness(config);
        _completeness = new CompletenessKeeper(completeness, _store.Engine, disk, ConfiguredOptions.CompletenessFolder(config), time, ProcessRandom.Create(), _meter, loggers.CreateLogger<CompletenessKeeper>());
        _completeness.Book.CarriedBefore(NowMs);
        _completeness.Book.Configure(NowMs, config.Fleet.Expected, config.Fleet.Retired);
        _reader = new SynthesisedReader(new RevisionReader(_store.Reader), _completeness.Book, _store.Engine, time);
        var late = new LateRanges(new LateRangesOptions(), disk, config.DataDir, time, _meter);
        _fleet = new AgentFleet(ingest, time, _meter) { Book = _completeness.Book, Late = late };
        _inbox = new BundleInbox(new BundleInboxOptions { Folder = ConfiguredOptions.Inbox(config) }, () => Volatile.Read(ref _config), new BundleImport(_store, late, time, _completeness.Book), late, disk, time, _meter, loggers.CreateLogger<BundleInbox>());
        _authenticator = new TokenAuthenticator(AgentCredentials.Proofs(ConfiguredOptions.Credentials(config)));
        var engine = new PromQlEngine(ConfiguredOptions.Engine(config) with { OnUnexpected = (query, e) => QueryFailed(_log, query, e) }, time);
        var ruleOptions = new RuleEngineOptions { DefaultInterval = config.Global.EvaluationInterval, EvaluationDelayMax = config.Evaluation.DelayMax, ExternalLabels = config.Global.ExternalLabels };
        var rulesOn = new RuleSurroundings(engine, _reader, _store, _fleet);
        _rules = new RuleEngine(rulesOn, ruleOptions, time, _meter, loggers.CreateLogger<RuleEngine>());
        late.EvaluatedMs = () => _rules.EvaluatedMs;
        var versions = new RuleVersions(disk, config.DataDir);
        _heals = new HealBook(disk, Path.Combine(config.DataDir, "heals"), time, ProcessRandom.Create(), loggers.CreateLogger<HealBook>());
        _desk = new HealDesk(new RuleHealer(rulesOn, _rules, versions, new RuleHealerOptions(), time, _meter, loggers.CreateLogger<RuleHealer>()), _heals, time, loggers.CreateLogger<HealDesk>());
        _healer = new LateHealer(late, _desk, new LateHealerOptions(), time, loggers.CreateLogger<LateHealer>());
        _healEndpoints = new HealEndpoints(_desk, () => _rules.Status, time, _stop.Token);
        _kpis = new KpiBook(disk, Path.Combine(config.DataDir, "kpis"), config.Global.EvaluationInterval, time, ProcessRandom.Create(), loggers.CreateLogger<KpiBook>());
        _sloVersions = new DefinitionBook(disk, Path.Combine(config.DataDir, "slos"), time, ProcessRandom.Create(), loggers.CreateLogger<DefinitionBook>());
        var maintenance = new MaintenanceKeeper(_store, _reader, late, config.Retention.Raw, time, loggers.CreateLogger<MaintenanceKeeper>());
        _definitions = new DefinitionsKeeper(_rules, new DefinitionBooks(versions, _kpis, _sloVersions), maintenance, config.Global.EvaluationInterval, time, loggers.CreateLogger<DefinitionsKeeper>());
        _newRules = new NewRules(_rules, versions, _desk, _reader, time, loggers.CreateLogger<NewRules>());
        var coverage = new FleetCoverage(_completeness.Book, _store.Engine, new SenderCoverage(_reader), time);
        var finality = new FinalityJudge(_reader, coverage, () => _rules.Status, engine.Lookback, time)
        {
            IsWaiting = (from, to) => late.List().Any(r => r.FromMs <= to && r.ToMs >= from),
            OwnMetrics = new HashSet<string> { PlannedSeries.Metric },
        };
        var kpiSources = new KpiSources(_kpis, engine, _reader, coverage) { Heals = _heals, Finality = finality };
        _kpiEndpoints = new KpiEndpoints(kpiSources, time);
        _slaEndpoints = new SlaEndpoints(kpiSources, time);
        _sloEndpoints = new SloEndpoints(new SloSources(() => _definitions.Slos, () => _rules.Status, engine, _reader) { Maintenances = () => _kpis.Slas.Maintenances, Heals = _heals, Finality = finality, Versions = _sloVersions.Versions }, time);
        _api = new QueryApi(SourcesOf(engine), ApiOptionsOf(file, config), time, _meter, loggers.CreateLogger<QueryApi>());
        _configState = new ConfigState(true, NowMs);
        _meter.CreateObservableGauge(MetricNames.ServeQuerySamples, () => engine.SamplesHeld, description: "Samples that queries hold in memory together, beyond the first million of each; a native histogram counts as many as it takes, 16 bytes a sample.");
        _meter.CreateObservableCounter(MetricNames.ServeQueryPartsShared, () => engine.PartsShared, description: "Aggregations and functions whose value a range query took from another that was asked at the same time.");
        _meter.CreateObservableGauge(MetricNames.AggregatorReloadSuccessful, () => ConfigNow().Ok ? 1 : 0, description: "1 when the last reading of the configuration succeeded.");
        _meter.CreateObservableGauge(MetricNames.AggregatorReloadSuccessSeconds, () => ConfigNow().TakenMs / 1000.0, unit: "seconds", description: "When the configuration was last taken, Unix seconds.");
        _receiver = new RemoteWriteReceiver(new LateAppender(_store, late), new RemoteWriteReceiveOptions(), _meter);
        _listeners = new Listeners(time, loggers);
        _quiet = MemoryTimer(time);
        _grpc = BuildGrpc(ingest);
        _http = BuildHttp();
    }

    /// <summary>The program's version.</summary>
    public static string VersionText { get; } = typeof(AggregatorServer).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    /// <summary>The commit that the program was built from, or empty: the build writes it behind a plus sign.</summary>
    public static string RevisionText { get; } = typeof(AggregatorServer).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+') is [_, var revision, ..] ? revision : "";

    /// <summary>Addresses that it listens on, once started.</summary>
    public string Addresses => $"agents at {_config.Listen.Grpc.Address}, API and console at {string.Join(", ", _http.Urls)}";

    /// <summary>Why a part that must run for ever has ended by itself (a bug); null: all is well.</summary>
    public Exception? Failure => _store.Failure ?? (Exception?)_running.FirstOrDefault(t => t.IsFaulted)?.Exception
        ?? (!_stop.IsCancellationRequested && _running.Any(t => t.IsCompleted) ? new InvalidOperationException("a loop of the aggregator ended") : null);

    /// <summary>Applies the rules and opens the doors. Throws <see cref="IOException"/> when an address is taken.</summary>
    public async Task StartAsync(Definitions definitions, CancellationToken cancellation)
    {
        _definitions.Start(definitions);
        _newRules.Backfill(_first.Evaluation.BackfillNew, _stop.Token);
        _running = [_rules.RunAsync(_stop.Token), _definitions.TurnPeriodsAsync(_stop.Token), _completeness.RunAsync(_stop.Token), _inbox.RunAsync(_stop.Token), _healer.RunAsync(_stop.Token), _definitions.KeepPlannedAsync(_stop.Token), .. _forwarder is null ? (Task[])[] : [_forwarder.RunAsync(_stop.Token)]];
        await _grpc.StartAsync(cancellation);
        await _http.StartAsync(cancellation);
        _health.Set("", true);
        _health.Set("bellwether.v1.Aggregator", true);
        Volatile.Write(ref _ready, true);
        Started(_log, VersionText, _store.StoreId, Addresses);
    }

    /// <summary>Closes the doors, then stops the rules and forwarding, then the store.</summary>
    public async ValueTask DisposeAsync()
    {
        Volatile.Write(ref _ready, false);
        _health.Set("", false);
        using (var limit = new CancellationTokenSource(s_doorsClose, _time))
        {
            await _grpc.StopAsync(limit.Token);
            await _http.StopAsync(limit.Token);
        }
        await _stop.CancelAsync();
        // A loop that failed has been told already (Failure).
        await Task.WhenAll([.. _running, _healEndpoints.Running, _newRules.Running]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _grpc.DisposeAsync();
        await _http.DisposeAsync();
        _receiver.Dispose();
        _api.Dispose();
        _kpis.Dispose();
        _sloVersions.Dispose();
        _desk.Dispose();
        _heals.Dispose();
        _completeness.Dispose();
        await _scrub.DisposeAsync();
        await _store.DisposeAsync();
        _forwarder?.Dispose();
        _selfMetrics.Dispose();
        await _quiet.DisposeAsync();
        _meter.Dispose();
        _stop.Dispose();
        Stopped(_log);
    }

    private static QueryApiOptions ApiOptionsOf(string file, AggregatorConfig config) => new()
    {
        Timeout = config.Limits.QueryTimeout,
        ConcurrentMax = config.Limits.MaxConcurrentQueries,
        Flags = new Dictionary<string, string> { ["config"] = file },
        Version = VersionText,
        Revision = RevisionText,
        ExternalLabels = config.Global.ExternalLabels,
        WorkingFolder = config.DataDir,
        Retention = PrometheusDuration.Format(config.Retention.Raw),
    };

    private QueryApiSources SourcesOf(PromQlEngine engine) => new()
    {
        Engine = engine,
        Reader = _reader,
        Rules = () => _rules.Status,
        Targets = new FleetTargets(_fleet, new UpTargets(_store.Reader, _time, TimeSpan.FromMinutes(5))),
        Ready = () => Volatile.Read(ref _ready),
        Exemplars = _store.Engine.Exemplars,
        Config = ConfigNow,
        Configuration = () => Volatile.Read(ref _config).Shown,
        Reload = _ => Task.FromResult(Reload()),
        Admin = _config.AdminApi.Enabled ? new StoreAdmin(_store, _config.DataDir, _time) : null,
        Store = StoreFactsNow,
        Metrics = MetricsFor,
    };

    // Steps that take longer than the interval do not overlap.
    private static ITimer MemoryTimer(TimeProvider time)
    {
        var memory = new QuietMemory(time, QuietMemory.OfProcess);
        return time.CreateTimer(_ =>
        {
            if (!Monitor.TryEnter(memory))
                return;
            try
            {
                memory.Step();
            }
            finally
            {
                Monitor.Exit(memory);
            }
        }, null, QuietMemory.Interval, QuietMemory.Interval);
    }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private StoreFacts StoreFactsNow(int limit)
    {
        StoreStatistics statistics = _store.Engine.Statistics(limit);
        return new StoreFacts(statistics.HeadSeries, statistics.HeadChunks, statistics.LabelPairs, statistics.MinTimeMs, statistics.MaxTimeMs)
        {
            ByJob = [.. statistics.SeriesByJob.Select(j => KeyValuePair.Create(j.Name, j.Count))],
            ByAgent = [.. statistics.SeriesByAgent.Select(a => KeyValuePair.Create(a.Name, a.Count))],
            Limits = [.. statistics.Limits.Select(l => (l.Name, (long)l.Value, l.Refused))],
        };
    }

    private (string ContentType, Func<System.IO.Stream, CancellationToken, Task> Write) MetricsFor(string accept)
    {
        ExpositionFormat format = ExpositionContent.Negotiate(accept);
        return (ExpositionWriter.ContentType(format), WriteTo);

        async Task WriteTo(System.IO.Stream stream, CancellationToken cancellation)
        {
            var buffer = new ArrayBufferWriter<byte>();
            ExpositionWriter.Write(buffer, _selfMetrics.Collect(), format);
            await stream.WriteAsync(buffer.WrittenMemory, cancellation);
        }
    }

    private WebApplication BuildGrpc(IngestOptions ingest)
    {
        WebApplicationBuilder builder = _listeners.NewBuilder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            GrpcKestrel.SetLimits(kestrel);
            _listeners.Listen(kestrel, _config.Listen.Grpc, HttpProtocols.Http2);
        });
        WebApplication app = builder.Build();
        var methods = new GrpcMethods();
        _service = new AggregatorService(ingest, _store, _fleet, _time, _meter, _loggers.CreateLogger<AggregatorService>()) { IsInForce = _authenticator.IsInForce };
        _service.AddTo(methods);
        _health.AddTo(methods);
        new GrpcRouter(methods, AggregatorService.ServerOptions(ingest), _authenticator, _time, _loggers.CreateLogger<GrpcRouter>(), app.Lifetime.ApplicationStopping)
        {
            Refused = (remote, reason) => _completeness.Book.Refused(NowMs, "", $"{remote.Address}: {reason}"),
        }.UseIn(app);
        return app;
    }

    private WebApplication BuildHttp()
    {
        WebApplicationBuilder builder = _listeners.NewBuilder();
        builder.Services.AddRoutingCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            HttpLimits.Set(kestrel);
            _listeners.Listen(kestrel, _config.Listen.Http, HttpProtocols.Http1AndHttp2);
        });
        WebApplication app = builder.Build();
        app.UseRouting();
        app.MapQueryApi(_api);
        _receiver.Map(app);
        app.MapFleet(new FleetView(_fleet, () => Volatile.Read(ref _config).Agents, () => _store.Engine.SeriesByAgent(int.MaxValue)));
        app.MapCompleteness(new CompletenessJson(_completeness.Book, _store.Engine, _store.StoreId), _time);
        _kpiEndpoints.Map(app);
        _slaEndpoints.Map(app);
        _sloEndpoints.Map(app);
        _healEndpoints.Map(app);
        app.MapOpenApi();
        app.MapConsole();
        return app;
    }

    private static void MakeDataFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"data_dir {folder} cannot be made: {e.Message}", e);
        }
    }

    [LoggerMessage(5001, LogLevel.Information, "aggregator {Version}, store {StoreId}: {Addresses}")]
    private static partial void Started(ILogger log, string version, string storeId, string addresses);

    [LoggerMessage(5002, LogLevel.Information, "stopped")]
    private static partial void Stopped(ILogger log);

    [LoggerMessage(5011, LogLevel.Error, "BUG: a query failed, and it alone: {Query}")]
    private static partial void QueryFailed(ILogger log, string query, Exception failure);
}
