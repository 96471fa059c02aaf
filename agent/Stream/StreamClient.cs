using System.Diagnostics.Metrics;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Bellwether.Agent.Spool;
using Bellwether.Core.Grpc;
using Bellwether.Core.Telemetry;
using Bellwether.V1;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace Bellwether.Agent.Stream;

/// <summary>
/// Keeps a session with an aggregator, for as long as the agent runs: tries the addresses in order of preference, backs off with jitter, and pumps the
/// <see cref="StreamSession"/>. One <see cref="RunAsync"/> at a time; <see cref="RecordsAppended"/> may be called from any thread.
/// </summary>
internal sealed partial class StreamClient
{
    private readonly StreamOptions _options;
    private readonly StreamIdentity _identity;
    private readonly IStreamSpool _spool;
    private readonly IWatermarkSource _watermarks;
    private readonly StreamClientDependencies _with;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private static readonly TimeSpan s_retryTellInterval = TimeSpan.FromMinutes(1);
    private string? _retryTold;
    private long _retryToldAt;
    private long _retriesUntold;
    private readonly ResiliencePipeline<SessionEnd> _pipeline;
    private readonly BandwidthLimit? _bandwidth;
    private readonly Lock _randomGate = new();
    private long _returns;

    /// <summary>Makes a client; nothing is sent yet.</summary>
    public StreamClient(StreamOptions options, StreamIdentity identity, IStreamSpool spool, IWatermarkSource watermarks, StreamClientDependencies with)
    {
        _options = options;
        _identity = identity;
        _spool = spool;
        _watermarks = watermarks;
        _with = with;
        _pipeline = new ResiliencePipelineBuilder<SessionEnd> { TimeProvider = with.Time }
            .AddRetry(new RetryStrategyOptions<SessionEnd>
            {
                ShouldHandle = static arguments => ValueTask.FromResult(arguments.Outcome.Result is { Calm: true }),
                MaxRetryAttempts = int.MaxValue,
                DelayGenerator = arguments => ValueTask.FromResult<TimeSpan?>(WaitOf(arguments.AttemptNumber, options, NextRandom())),
                OnRetry = arguments =>
                {
                    TellRetry(arguments.Outcome.Result?.Reason ?? "", arguments.RetryDelay.TotalSeconds);
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
        Statistics = new StreamStatistics(with.Meter);
        _bandwidth = options.BandwidthLimit > 0 ? new BandwidthLimit(options.BandwidthLimit) : null;
        with.Meter.CreateObservableGauge(MetricNames.StreamBandwidthLimit, () => options.BandwidthLimit, unit: "bytes", description: "Payload bytes a second that may go out; 0: no bound.");
        with.Meter.CreateObservableCounter(MetricNames.StreamBandwidthWaits, () => _bandwidth?.Waits ?? 0, description: "Times that a batch had to wait for the bandwidth limit.");
        with.Meter.CreateObservableCounter(MetricNames.StreamReturns, () => Volatile.Read(ref _returns), description: "Sessions that were left because a preferred address was back.");
    }

    /// <summary>How the stream stands.</summary>
    public StreamStatistics Statistics { get; }

    /// <summary>Sessions left because a preferred address was back.</summary>
    public long Returns => Volatile.Read(ref _returns);

    /// <summary>Called with every configuration that the aggregator sends; set before <see cref="RunAsync"/>.</summary>
    public Action<NewConfiguration>? ConfigurationCame { get; init; }

    /// <summary>
    /// The wait after failure number <paramref name="failure"/> (from 0): doubles up to <see cref="StreamOptions.BackoffMax"/>, of which the upper half is chance.
    /// Polly's own jitter is added before its bound, so that a fleet would wait exactly the bound, all together.
    /// </summary>
    internal static TimeSpan WaitOf(int failure, StreamOptions options, double random)
    {
        double whole = Math.Min(options.BackoffMax.TotalSeconds, options.BackoffMin.TotalSeconds * Math.Pow(2, failure));
        return TimeSpan.FromSeconds(whole * (1 + random) / 2);
    }

    /// <summary>How a session ended. Calm: back off before the next.</summary>
    private sealed record SessionEnd(string Reason, bool Calm);

    /// <summary>Says that the spool has more. Cheap; any thread.</summary>
    public void RecordsAppended() => _wake.Writer.TryWrite(true);

    /// <summary>Runs until <paramref name="stopping"/> fires; then drains for at most <see cref="StreamOptions.DrainTimeout"/>, says goodbye, and returns.</summary>
    public async Task RunAsync(CancellationToken stopping)
    {
        try
        {
            while (!stopping.IsCancellationRequested)
                await _pipeline.ExecuteAsync(async token => await AttemptAsync(token), stopping);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            Stopped(_with.Log);
        }
    }

    /// <summary>One round over the addresses; ends with the first session that stood, or with the last failure.</summary>
    private async Task<SessionEnd> AttemptAsync(CancellationToken stopping)
    {
        var end = new SessionEnd("no address was tried", Calm: true);
        for (int i = 0; i < _options.Aggregators.Count; i++)
        {
            AggregatorAddress address = _options.Aggregators[i];
            long began = _with.Time.GetTimestamp();
            (bool stood, string reason, GrpcStatusCode code) = await SessionAsync(address, preferred: i, stopping);
            Statistics.Ended(stopping.IsCancellationRequested ? null : reason);
            if (stopping.IsCancellationRequested)
                return new SessionEnd(reason, Calm: false);
            bool lasted = _with.Time.GetElapsedTime(began) >= _options.MinSession;
            // Whoever asks for calm (full store, ENHANCE_YOUR_CALM) gets it, however long the session stood.
            end = new SessionEnd($"{address.Uri}: {reason}", Calm: !stood || !lasted || code == GrpcStatusCode.ResourceExhausted);
            if (stood)
                return end;
        }
        return end;
    }

    private async Task<(bool Stood, string Reason, GrpcStatusCode Code)> SessionAsync(AggregatorAddress address, int preferred, CancellationToken stopping)
    {
        address = Renewed(address);
        using GrpcChannel channel = ChannelOf(address);
        GrpcMetadata metadata = MetadataOf(address);
        var session = new StreamSession(_identity, _spool, _watermarks, _with.Targets is { } facts ? new TargetTeller(facts) : null, _with.Ledger is { } ledger ? new ReportTeller(ledger) : null) { Bandwidth = _bandwidth };
        await using GrpcCall<AgentMessage, AggregatorMessage> call = channel.Open(WireMethods.Stream, new GrpcCallOptions { Metadata = metadata }, CancellationToken.None);
        using var leaving = new CancellationTokenSource();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        var pump = new StreamPump(session, call, _wake.Reader, _options, _with.Time)
        {
            Statistics = Statistics,
            Greeted = () =>
            {
                Statistics.Began(address.Uri, session);
                SessionStands(_with.Log, address.Uri, session.StoreId ?? "", Math.Abs(session.ClockOffsetMs), session.ClockOffsetMs < 0 ? "behind" : "ahead of");
            },
            ConfigurationCame = ConfigurationCame,
            Leaving = leaving.Token,
            RecordRefused = refusal => Refused(_with.Log, refusal),
        };
        Task returning = preferred > 0 && _options.ReturnInterval > TimeSpan.Zero ? ReturnAsync(preferred, session, leaving, over.Token) : Task.CompletedTask;
        string reason;
        try
        {
            reason = await pump.RunAsync(stopping);
        }
        catch (GrpcStatusException e)
        {
            reason = e.Status.ToString();
        }
        catch (IOException e)
        {
            reason = $"the spool cannot be read: {e.Message}";
        }
        finally
        {
            await over.CancelAsync();
            await returning;
        }
        GrpcStatusCode code = call.Status?.Code ?? GrpcStatusCode.Ok;
        if (call.Status is { IsOk: false } status)
            reason = status.ToString();
        if (code == GrpcStatusCode.Unavailable && channel.IsUnheardAfterCertificate && address.ClientCertificate is { } certificate)
            reason += $" ({RefusalHint(certificate, address.ClientCertificateFile)})";
        return (session.StoreId is not null, reason, code);
    }

    /// <summary>What most likely happened when the server ended the connection right behind the handshake, and what to look at.</summary>
    private string RefusalHint(X509Certificate2 certificate, string? file)
    {
        DateTime now = _with.Time.GetUtcNow().UtcDateTime, from = certificate.NotBefore.ToUniversalTime(), to = certificate.NotAfter.ToUniversalTime();
        string standing = now < from ? ", which is not yet" : now > to ? ", which is over" : "";
        return string.Create(CultureInfo.InvariantCulture,
            $"the server ended the connection right after the TLS handshake: it may have refused the client certificate{(file is null ? "" : " of " + file)}: subject '{certificate.Subject}', issuer '{certificate.Issuer}', valid from {from:yyyy-MM-dd HH:mm:ss} to {to:yyyy-MM-dd HH:mm:ss} UTC{standing}; the server's log says why");
    }

    private GrpcChannel ChannelOf(AggregatorAddress address) => new(
        new GrpcChannelOptions
        {
            Address = address.Uri,
            TrustedRoots = address.TrustedRoots,
            ClientCertificate = address.ClientCertificate,
            ServerName = address.ServerName,
            AllowPlaintextBeyondLoopback = address.AllowPlaintext,
        },
        _with.Time);

    private static GrpcMetadata MetadataOf(AggregatorAddress address)
    {
        var metadata = new GrpcMetadata();
        if (address.Token is { } token)
            metadata.Add("authorization", "Bearer " + token);
        return metadata;
    }

    private double NextRandom()
    {
        lock (_randomGate)
            return _with.Random.NextDouble();
    }

    /// <summary>Asks the addresses before a session's own from time to time; when one answers for the same store, the session is left for it.</summary>
    private async Task ReturnAsync(int preferred, StreamSession session, CancellationTokenSource leaving, CancellationToken over)
    {
        try
        {
            while (true)
            {
                await Task.Delay(_options.ReturnInterval * (0.8 + (0.4 * NextRandom())), _with.Time, over);
                for (int i = 0; i < preferred; i++)
                {
                    if (session.StoreId is not { } store || !await AnswersAsync(_options.Aggregators[i], store, over))
                        continue;
                    Volatile.Write(ref _returns, _returns + 1);
                    GoesBack(_with.Log, _options.Aggregators[i].Uri);
                    await leaving.CancelAsync();
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (over.IsCancellationRequested)
        {
            return;
        }
    }

    private async Task<bool> AnswersAsync(AggregatorAddress address, string store, CancellationToken over)
    {
        using var limit = new CancellationTokenSource(_options.HelloTimeout, _with.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(over, limit.Token);
        try
        {
            address = Renewed(address);
            using GrpcChannel channel = ChannelOf(address);
            var request = new RegisterRequest { AgentId = _identity.AgentId, Version = _identity.Version };
            foreach ((string name, string value) in _identity.Labels)
                request.Labels[name] = value;
            GrpcResult<RegisterResponse> result = await channel.UnaryAsync(WireMethods.Register, request, new GrpcCallOptions { Metadata = MetadataOf(address) }, both.Token);
            return result.Status.IsOk && result.Response?.StoreId == store;
        }
        catch (GrpcStatusException)
        {
            return false;
        }
        catch (OperationCanceledException) when (!over.IsCancellationRequested)
        {
            return false;
        }
    }

    [LoggerMessage(1406, LogLevel.Information, "stream: the preferred address {Address} is there again, going back to it")]
    private static partial void GoesBack(ILogger log, Uri address);

    [LoggerMessage(1401, LogLevel.Information, "stream: connected to {Address}, store {StoreId}; its clock is {OffsetMs:0} ms {Direction} ours")]
    private static partial void SessionStands(ILogger log, Uri address, string storeId, double offsetMs, string direction);

    /// <summary>Token and certificates as the files have them now; what cannot be read stays as it was.</summary>
    private AggregatorAddress Renewed(AggregatorAddress address)
    {
        try
        {
            return address.Renew?.Invoke() ?? address;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            CannotRenew(_with.Log, address.Uri, e.Message);
            return address;
        }
    }

    // An aggregator that is away for a day must not fill the log: each reason once, and then once a minute.
    private void TellRetry(string reason, double seconds)
    {
        if (reason == _retryTold && _with.Time.GetElapsedTime(_retryToldAt) < s_retryTellInterval)
        {
            _retriesUntold++;
            return;
        }
        WillRetry(_with.Log, reason, seconds, _retriesUntold);
        (_retryTold, _retryToldAt, _retriesUntold) = (reason, _with.Time.GetTimestamp(), 0);
    }

    [LoggerMessage(1405, LogLevel.Error, "stream: the credentials for {Address} cannot be read again, the old ones stay: {Reason}")]
    private static partial void CannotRenew(ILogger log, Uri address, string reason);

    [LoggerMessage(1402, LogLevel.Warning, "stream: {Reason}; next attempt in {Seconds:0.0} s (records are kept in the spool; {Untold} such attempts since the last line)")]
    private static partial void WillRetry(ILogger log, string reason, double seconds, long untold);

    [LoggerMessage(1403, LogLevel.Error, "stream: the aggregator refused a record for good: {Refusal}")]
    private static partial void Refused(ILogger log, string refusal);

    [LoggerMessage(1404, LogLevel.Information, "stream: stopped")]
    private static partial void Stopped(ILogger log);
}

/// <summary>What a client gets from its surroundings.</summary>
/// <param name="Time">Clock.</param>
/// <param name="Random">Jitter; used by this client alone.</param>
/// <param name="Meter">For its instruments.</param>
/// <param name="Log">For its log.</param>
internal sealed record StreamClientDependencies(TimeProvider Time, Random Random, Meter Meter, ILogger Log)
{
    /// <summary>What is told of targets; null: nothing.</summary>
    public ITargetFacts? Targets { get; init; }

    /// <summary>What is reported of the spool; null: nothing.</summary>
    public ISpoolLedger? Ledger { get; init; }
}
