using System.Buffers;
using System.Diagnostics.Metrics;
using System.Net;
using System.Reflection;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Aggregator.Bundles;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;
using Bellwether.Core.Exposition;
using Bellwether.Core.Grpc.Server;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Reading;
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
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Bellwether.Aggregator.Run;

/// <summary>
/// The running aggregator, wired in the data's order: ingest, store, evaluate, serve, forward.
/// 1. the store opens and replays; 2. forwarding taps its commits; 3. the engine and the rules stand on its reader; 4. the agents' door and the HTTP faces open; 5. stopping closes the doors
/// first, then the rules, then the store.
/// </summary>
internal sealed partial class AggregatorServer : IAsyncDisposable
{
    private static readonly TimeSpan s_periodsLook = TimeSpan.FromHours(1);
    private static readonly TimeSpan s_plannedLook = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_doorsClose = TimeSpan.FromSeconds(5);
    private readonly string _file;
    private readonly TimeProvider _time;
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
    private readonly RuleVersions _versions;
    private readonly LateHealer _healer;
    private readonly HealBook _heals;
    private readonly HealDesk _desk;
    private readonly HealEndpoints _healEndpoints;
    private readonly MaintenanceKeeper _maintenance;
    private readonly DefinitionBook _sloVersions;
    private readonly Lock _reloadGate = new();
    private readonly AggregatorConfig _first;
    private AggregatorConfig _config;
    private Definitions? _definitions;
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
        _store = StoreWriter.Open(StoreOptionsOf(config), disk, time, ProcessRandom.Create(), _meter, loggers.CreateLogger<StoreWriter>(), _forwarder);
        _scrub = new StoreScrub(_store.Engine, config.DataDir, new StoreScrubOptions(), disk, time, _meter, loggers.CreateLogger<StoreScrub>());
        var ingest = new IngestOptions { MaxAgents = config.Limits.MaxAgents };
        var completeness = new CompletenessOptions { MaxAgents = config.Limits.MaxAgents, SilentAfter = config.Fleet.SilentAfter };
        _completeness = new CompletenessKeeper(completeness, _store.Engine, disk, Path.Combine(config.DataDir, "completeness"), time, ProcessRandom.Create(), _meter, loggers.CreateLogger<CompletenessKeeper>());
        _completeness.Book.CarriedBefore(NowMs);
        _completeness.Book.Configure(NowMs, config.Fleet.Expected, config.Fleet.Retired);
        _reader = new SynthesisedReader(new RevisionReader(_store.Reader), _completeness.Book, _store.Engine, time);
        var late = new LateRanges(new LateRangesOptions(), disk, config.DataDir, time, _meter);
        _fleet = new AgentFleet(ingest, time, _meter) { Book = _completeness.Book, Late = late };
        _inbox = new BundleInbox(new BundleInboxOptions { Folder = InboxOf(config) }, () => Volatile.Read(ref _config), new BundleImport(_store, late, time, _completeness.Book), late, disk, time, _meter, loggers.CreateLogger<BundleInbox>());
        _authenticator = new TokenAuthenticator(AgentCredentials.Proofs(CredentialsOf(config)));
        var engine = new PromQlEngine(new EngineOptions { MaxSamples = config.Limits.MaxSamplesPerQuery, Timeout = config.Limits.QueryTimeout, Experimental = config.Evaluation.Experimental }, time);
        var ruleOptions = new RuleEngineOptions { DefaultInterval = config.Global.EvaluationInterval, EvaluationDelayMax = config.Evaluation.DelayMax, ExternalLabels = config.Global.ExternalLabels };
        var rulesOn = new RuleSurroundings(engine, _reader, _store, _fleet);
        _rules = new RuleEngine(rulesOn, ruleOptions, time, _meter, loggers.CreateLogger<RuleEngine>());
        late.EvaluatedMs = () => _rules.EvaluatedMs;
        _versions = new RuleVersions(disk, config.DataDir);
        _heals = new HealBook(disk, Path.Combine(config.DataDir, "heals"), time, ProcessRandom.Create(), loggers.CreateLogger<HealBook>());
        _desk = new HealDesk(new RuleHealer(rulesOn, _rules, _versions, new RuleHealerOptions(), time, _meter, loggers.CreateLogger<RuleHealer>()), _heals, time, loggers.CreateLogger<HealDesk>());
        _healer = new LateHealer(late, _desk, new LateHealerOptions(), time, loggers.CreateLogger<LateHealer>());
        _maintenance = new MaintenanceKeeper(_store, _reader, late, config.Retention.Raw, time, loggers.CreateLogger<MaintenanceKeeper>());
        _healEndpoints = new HealEndpoints(_desk, () => _rules.Status, time, _stop.Token);
        var apiOptions = new QueryApiOptions
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
        _kpis = new KpiBook(disk, Path.Combine(config.DataDir, "kpis"), config.Global.EvaluationInterval, time, ProcessRandom.Create(), loggers.CreateLogger<KpiBook>());
        _sloVersions = new DefinitionBook(disk, Path.Combine(config.DataDir, "slos"), time, ProcessRandom.Create(), loggers.CreateLogger<DefinitionBook>());
        var coverage = new FleetCoverage(_completeness.Book, _store.Engine, time);
        var finality = new FinalityJudge(_reader, coverage, () => _rules.Status, engine.Lookback, time) { IsWaiting = (from, to) => late.List().Any(r => r.FromMs <= to && r.ToMs >= from) };
        var kpiSources = new KpiSources(_kpis, engine, _reader, coverage) { Heals = _heals, Finality = finality };
        _kpiEndpoints = new KpiEndpoints(kpiSources, time);
        _slaEndpoints = new SlaEndpoints(kpiSources, time);
        _sloEndpoints = new SloEndpoints(new SloSources(() => Volatile.Read(ref _definitions)?.Slos ?? SloRuleSet.Empty, () => _rules.Status, engine, _reader) { Maintenances = () => _kpis.Slas.Maintenances, Heals = _heals, Finality = finality, Versions = _sloVersions.Versions }, time);
        _api = new QueryApi(SourcesOf(engine), apiOptions, time, _meter, loggers.CreateLogger<QueryApi>());
        _configState = new ConfigState(true, NowMs);
        _meter.CreateObservableGauge(MetricNames.AggregatorReloadSuccessful, () => ConfigNow().Ok ? 1 : 0, description: "1 when the last reading of the configuration succeeded.");
        _meter.CreateObservableGauge(MetricNames.AggregatorReloadSuccessSeconds, () => ConfigNow().TakenMs / 1000.0, unit: "seconds", description: "When the configuration was last taken, Unix seconds.");
        _receiver = new RemoteWriteReceiver(new LateAppender(_store, late), new RemoteWriteReceiveOptions(), _meter);
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

    private void ApplyRules(IReadOnlyList<RuleGroupDefinition> groups)
    {
        _rules.Apply(groups);
        if (!_versions.Note(groups, NowMs))
            VersionsNotKept(_log);
    }

    /// <summary>Applies the rules and opens the doors. Throws <see cref="IOException"/> when an address is taken.</summary>
    public async Task StartAsync(Definitions definitions, CancellationToken cancellation)
    {
        foreach (string warning in definitions.Warnings)
            RuleWarning(_log, warning);
        ApplyRules(definitions.Groups);
        Volatile.Write(ref _definitions, definitions);
        _kpis.Apply(definitions.Kpis, NextStepMs);
        _sloVersions.Apply(SloVersions.Of(definitions.Slos.Set), definitions.Slos.Groups.Select(NextStepMs).DefaultIfEmpty(NowMs).Min());
        _running = [_rules.RunAsync(_stop.Token), TurnPeriodsAsync(_stop.Token), _completeness.RunAsync(_stop.Token), _inbox.RunAsync(_stop.Token), _healer.RunAsync(_stop.Token), KeepPlannedAsync(_stop.Token), .. _forwarder is null ? (Task[])[] : [_forwarder.RunAsync(_stop.Token)]];
        await _grpc.StartAsync(cancellation);
        await _http.StartAsync(cancellation);
        _health.Set("", true);
        _health.Set("bellwether.v1.Aggregator", true);
        Volatile.Write(ref _ready, true);
        Started(_log, VersionText, _store.StoreId, Addresses);
    }

    /// <summary>Gives calendar objectives the rules of the next periods: the one that comes has its rules already, so an hour is soon enough.</summary>
    private async Task TurnPeriodsAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(s_periodsLook, _time, stopping);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            lock (_reloadGate)
            {
                if (_definitions is not { } now || now.Slos.PeriodEndMs >= NowMs)
                    continue;
                Definitions next = now with { Slos = now.Slos.At(NowMs) };
                ApplyRules(next.Groups);
                Volatile.Write(ref _definitions, next);
                PeriodsTurned(_log, next.Slos.Groups.Count);
            }
        }
    }

    /// <summary>Keeps the series of planned work in line with the files.</summary>
    private async Task KeepPlannedAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (Volatile.Read(ref _definitions) is { } now)
                {
                    int changed = await _maintenance.StepAsync(now.Kpis.Slas.Maintenances, now.Slos.Set, stopping);
                    if (changed > 0)
                        PlannedWritten(_log, changed);
                }
                await Task.Delay(s_plannedLook, _time, stopping);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
            catch (StoreUnavailableException e)
            {
                PlannedNotWritten(_log, e.Message);
                await Task.Delay(s_plannedLook, _time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Reads the configuration and the rules again; what is wrong is told and changes nothing.</summary>
    public IReadOnlyList<string> Reload()
    {
        lock (_reloadGate)
        {
            try
            {
                IReadOnlyList<string> errors = ReloadLocked();
                _configState = errors.Count == 0 ? new ConfigState(true, NowMs) : _configState with { Ok = false };
                return errors;
            }
            catch (Exception e)
            {
                // Whatever stands in the files, the running aggregator goes on with what it has.
                ReloadFailed(_log, e);
                _configState = _configState with { Ok = false };
                return [$"BUG: taking the new configuration failed: {e.Message}"];
            }
        }
    }

    private IReadOnlyList<string> ReloadLocked()
    {
        (AggregatorConfig? config, Definitions? definitions, IReadOnlyList<ConfigError> errors) = ReadAll(_file, checkFiles: true, _time);
        if (config is null || definitions is null)
        {
            foreach (ConfigError error in errors)
                ReloadRefused(_log, error.ToString());
            return [.. errors.Select(e => e.ToString())];
        }
        try
        {
            _authenticator.Replace(AgentCredentials.Proofs(CredentialsOf(config)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            ReloadRefused(_log, e.Message);
            return [e.Message];
        }
        _service?.EndRevoked();
        if (config != _first with { Agents = config.Agents, Fleet = _first.Fleet with { Expected = config.Fleet.Expected, Retired = config.Fleet.Retired }, RuleFiles = config.RuleFiles, KpiFiles = config.KpiFiles, SloFiles = config.SloFiles, Bundle = _first.Bundle with { KeyFile = config.Bundle.KeyFile }, Shown = config.Shown, Log = config.Log })
            NeedsRestart(_log);
        _loggers.Minimum = LevelOf(config.Log.Level);
        foreach (string warning in definitions.Warnings)
            RuleWarning(_log, warning);
        long nowMs = NowMs;
        ApplyRules(definitions.Groups);
        Volatile.Write(ref _definitions, definitions);
        _kpis.Apply(definitions.Kpis, group => FloorMs(nowMs, group));
        _sloVersions.Apply(SloVersions.Of(definitions.Slos.Set), definitions.Slos.Groups.Select(g => FloorMs(nowMs, g)).DefaultIfEmpty(nowMs).Min());
        _completeness.Book.Configure(NowMs, config.Fleet.Expected, config.Fleet.Retired);
        _config = config;
        Reloaded(_log, _file, definitions.Groups.Count);
        return [];
    }

    /// <summary>Reads a configuration with the rules that it names; all errors in one run.</summary>
    public static (AggregatorConfig? Config, Definitions? Definitions, IReadOnlyList<ConfigError> Errors) ReadAll(string file, bool checkFiles, TimeProvider time)
    {
        ConfigResult<AggregatorConfig> read = AggregatorConfigFile.Load(file, checkFiles);
        (ValueList<string> Rules, ValueList<string> Kpis, ValueList<string> Slos) named = read.IsOk ? (read.Value.RuleFiles, read.Value.KpiFiles, read.Value.SloFiles) : AggregatorConfigFile.NamedFiles(file);
        string folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        // Where the configuration itself is wrong nobody knows whether experimental functions are on: what they would be told for may be right.
        ConfigResult<RuleSet> rules = RuleFiles.Load(named.Rules, folder, new RuleFileOptions { Experimental = !read.IsOk || read.Value.Evaluation.Experimental });
        ConfigResult<KpiSet> kpis = KpiFiles.Load(named.Kpis, folder);
        ConfigResult<SloSet> slos = SloFiles.Load(named.Slos, folder);
        ConfigResult<SloRuleSet> sloRules = slos.IsOk ? SloRuleSet.Make(slos.Value, time.GetUtcNow().ToUnixTimeMilliseconds()) : new ConfigResult<SloRuleSet>(slos.Errors);
        return read.IsOk && rules.IsOk && kpis.IsOk && sloRules.IsOk
            ? (read.Value, new Definitions(rules.Value, kpis.Value, sloRules.Value), [])
            : (null, null, [.. read.Errors, .. rules.Errors, .. kpis.Errors, .. sloRules.Errors]);
    }

    /// <summary>The step that a changed group makes first after a reload.</summary>
    private long FloorMs(long nowMs, RuleGroupDefinition group) => nowMs - (nowMs % (long)(group.Interval ?? _first.Global.EvaluationInterval).TotalMilliseconds);

    /// <summary>The step that a group makes next, at the start: steps that were missed are made by the rules of now.</summary>
    private long NextStepMs(RuleGroupDefinition group) =>
        _rules.Status.FirstOrDefault(s => s.Definition.Name == group.Name && s.Definition.File == group.File) is { } status ? status.LastStepMs + (long)status.Interval.TotalMilliseconds : FloorMs(NowMs, group);

    /// <summary>The log level that the configuration's word means.</summary>
    public static LogLevel LevelOf(LogDetail detail) => detail switch
    {
        LogDetail.Debug => LogLevel.Debug,
        LogDetail.Information => LogLevel.Information,
        LogDetail.Warning => LogLevel.Warning,
        _ => LogLevel.Error,
    };

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
        await Task.WhenAll([.. _running, _healEndpoints.Running]).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
        _meter.Dispose();
        _stop.Dispose();
        Stopped(_log);
    }

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

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private ConfigState ConfigNow()
    {
        lock (_reloadGate)
            return _configState;
    }

    private StoreFacts StoreFactsNow()
    {
        StoreStatistics statistics = _store.Engine.Statistics();
        return new StoreFacts(statistics.HeadSeries, statistics.HeadChunks, statistics.LabelPairs, statistics.MinTimeMs, statistics.MaxTimeMs);
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
        WebApplicationBuilder builder = NewBuilder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            GrpcKestrel.SetLimits(kestrel);
            Listen(kestrel, _config.Listen.Grpc, HttpProtocols.Http2);
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
        WebApplicationBuilder builder = NewBuilder();
        builder.Services.AddRoutingCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            HttpLimits.Set(kestrel);
            Listen(kestrel, _config.Listen.Http, HttpProtocols.Http1AndHttp2);
        });
        WebApplication app = builder.Build();
        app.UseRouting();
        app.MapQueryApi(_api);
        _receiver.Map(app);
        app.MapFleet(new FleetView(_fleet, () => Volatile.Read(ref _config).Agents));
        app.MapCompleteness(new CompletenessJson(_completeness.Book, _store.Engine, _store.StoreId), _time);
        _kpiEndpoints.Map(app);
        _slaEndpoints.Map(app);
        _sloEndpoints.Map(app);
        _healEndpoints.Map(app);
        app.MapOpenApi();
        app.MapConsole();
        return app;
    }

    private WebApplicationBuilder NewBuilder()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "bellwether-aggregator" });
        builder.Services.Replace(ServiceDescriptor.Singleton<ILoggerFactory>(new QuietFrameworkLoggers(_loggers)));
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        return builder;
    }

    private void Listen(KestrelServerOptions kestrel, ListenerSection listener, HttpProtocols protocols)
    {
        void Configure(ListenOptions options)
        {
            options.Protocols = protocols;
            if (listener.Tls is { } tls)
                options.UseHttps(HttpsOf(tls));
            else if (protocols == HttpProtocols.Http1AndHttp2)
                options.Protocols = HttpProtocols.Http1;
        }
        if (listener.Host == "localhost")
            kestrel.ListenLocalhost(listener.Port, Configure);
        else
            kestrel.Listen(IPAddress.Parse(listener.Host), listener.Port, Configure);
    }

    private HttpsConnectionAdapterOptions HttpsOf(ServerTlsSection tls)
    {
        var own = new WatchedFiles<X509Certificate2>([tls.CertFile, tls.KeyFile], () => ReadCertificate(tls), _time, CertificatesChanged);
        var options = new HttpsConnectionAdapterOptions
        {
            // Asked at each handshake: a renewed certificate counts without a restart.
            ServerCertificateSelector = (_, _) => own.Current,
            SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        };
        if (tls.ClientCaFile.Length > 0)
        {
            var authorities = new WatchedFiles<X509Certificate2Collection>([tls.ClientCaFile], () => ReadAuthorities(tls.ClientCaFile), _time, CertificatesChanged);
            options.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
            options.ClientCertificateValidation = (certificate, _, errors) =>
            {
                if ((errors & SslPolicyErrors.RemoteCertificateNotAvailable) == 0 && IsSignedBy(certificate, authorities.Current))
                    return true;
                CertificateRefused(_log, certificate.Subject, certificate.Issuer);
                return false;
            };
        }
        return options;
    }

    private static X509Certificate2 ReadCertificate(ServerTlsSection tls)
    {
        using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(tls.CertFile, tls.KeyFile);
        // Through PKCS #12 and back: on Windows a key read from PEM is not usable for TLS.
        return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
    }

    private static X509Certificate2Collection ReadAuthorities(string file)
    {
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPemFile(file);
        return authorities;
    }

    private void CertificatesChanged(string files, string? error)
    {
        if (error is null)
            CertificatesTaken(_log, files);
        else
            CertificatesWrong(_log, files, error);
    }

    private static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2Collection authorities)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(certificate);
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

    /// <summary>The folder that is watched for bundles.</summary>
    internal static string InboxOf(AggregatorConfig config) => config.Bundle.Inbox.Length > 0 ? config.Bundle.Inbox : Path.Combine(config.DataDir, "inbox");

    internal static StoreOptions StoreOptionsOf(AggregatorConfig config) => new()
    {
        Folder = config.DataDir,
        Retention = config.Retention.Raw,
        RetentionBytes = config.Retention.Size.Bytes,
        FutureBound = config.Limits.FutureBound,
        MaxSeries = config.Limits.MaxSeries,
        MaxSeriesPerJob = config.Limits.MaxSeriesPerJob,
        MinFreeBytes = config.Limits.MinFreeDisk.Bytes,
    };

    private static IEnumerable<AgentCredential> CredentialsOf(AggregatorConfig config) => [.. config.Agents.Select(agent => new AgentCredential
    {
        AgentId = agent.Id,
        TokenSha256 = agent.TokenFile.Length > 0
            ? Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(File.ReadAllText(agent.TokenFile).Trim())))
            : agent.TokenSha256.Length > 0 ? agent.TokenSha256 : null,
        CertificateSha256 = agent.CertificateSha256.Length > 0 ? agent.CertificateSha256 : null,
        CertificateName = agent.CertificateName.Length > 0 ? agent.CertificateName : null,
    })];

    [LoggerMessage(EventId = 4030, Level = LogLevel.Warning, Message = "since when each rule has its text cannot be written down now: after a restart changed rules may be applied to history before the change")]
    private static partial void VersionsNotKept(ILogger log);

    [LoggerMessage(5001, LogLevel.Information, "aggregator {Version}, store {StoreId}: {Addresses}")]
    private static partial void Started(ILogger log, string version, string storeId, string addresses);

    [LoggerMessage(5002, LogLevel.Information, "stopped")]
    private static partial void Stopped(ILogger log);

    [LoggerMessage(5003, LogLevel.Warning, "rules: {Warning}")]
    private static partial void RuleWarning(ILogger log, string warning);

    [LoggerMessage(5004, LogLevel.Error, "the new configuration is refused, the one in force stays: {Error}")]
    private static partial void ReloadRefused(ILogger log, string error);

    [LoggerMessage(5005, LogLevel.Information, "configuration {File} taken, {Groups} rule groups")]
    private static partial void Reloaded(ILogger log, string file, int groups);

    [LoggerMessage(5009, LogLevel.Information, "certificates read again: {Files}")]
    private static partial void CertificatesTaken(ILogger log, string files);

    [LoggerMessage(5010, LogLevel.Error, "changed certificates cannot be taken, the old ones stay: {Files}: {Reason}")]
    private static partial void CertificatesWrong(ILogger log, string files, string reason);

    [LoggerMessage(5007, LogLevel.Warning, "a client was refused: no authority of client_ca_file has signed its certificate ({Subject}, issued by {Issuer}), or it is expired")]
    private static partial void CertificateRefused(ILogger log, string subject, string issuer);

    [LoggerMessage(5008, LogLevel.Error, "BUG: taking the new configuration failed, the one in force stays")]
    private static partial void ReloadFailed(ILogger log, Exception failure);

    [LoggerMessage(5014, LogLevel.Information, "calendar objectives have the rules of the next periods; {Groups} groups")]
    private static partial void PeriodsTurned(ILogger log, int groups);

    [LoggerMessage(5015, LogLevel.Debug, "planned work: {Minutes} minutes of objectives were entered or withdrawn")]
    private static partial void PlannedWritten(ILogger log, int minutes);

    [LoggerMessage(5016, LogLevel.Warning, "planned work cannot be written now, trying again: {Reason}")]
    private static partial void PlannedNotWritten(ILogger log, string reason);

    [LoggerMessage(5006, LogLevel.Warning, "the new configuration changes more than agents, rule_files and log: the rest takes effect at the next start")]
    private static partial void NeedsRestart(ILogger log);
}
