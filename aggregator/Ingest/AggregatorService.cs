using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Bellwether.Core.Grpc;
using Bellwether.Core.Grpc.Server;
using Bellwether.Core.Telemetry;
using Bellwether.Store;
using Bellwether.V1;
using Microsoft.Extensions.Logging;

namespace Bellwether.Ingest;

/// <summary>The aggregator's face to agents: <c>bellwether.v1.Aggregator</c>. The async edge of <see cref="IngestSession"/>. Thread-safe.</summary>
public sealed partial class AggregatorService
{
    private readonly IngestOptions _options;
    private readonly IRecordStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly IngestCounters _counters;
    private readonly RepeatedLines<(string Address, string Reason)> _refusedLines;
    private readonly ConcurrentDictionary<RunningSession, bool> _open = new();

    /// <summary>Makes the service.</summary>
    public AggregatorService(IngestOptions options, IRecordStore store, AgentFleet fleet, TimeProvider time, Meter meter, ILogger log)
    {
        _options = options;
        _store = store;
        Fleet = fleet;
        _time = time;
        _log = log;
        _counters = new IngestCounters(meter);
        _refusedLines = new RepeatedLines<(string, string)>(time);
    }

    /// <summary>The agents.</summary>
    public AgentFleet Fleet { get; }

    /// <summary>Whether a session's credential still counts. Default: always.</summary>
    public Func<ClientIdentity, bool> IsInForce { get; init; } = static _ => true;

    /// <summary>Ends the sessions whose credential does not count any more; called after the credentials have changed. Any thread.</summary>
    public void EndRevoked()
    {
        foreach (RunningSession session in _open.Keys)
            session.EndIfRevoked();
    }

    /// <summary>The options of the server that goes with these limits.</summary>
    public static GrpcServerOptions ServerOptions(IngestOptions options) => new() { MaxReceiveMessageBytes = options.MaxMessageBytes };

    /// <summary>Adds Stream and Register.</summary>
    public void AddTo(GrpcMethods methods) => methods.Streaming(WireMethods.Stream, StreamAsync).Unary(WireMethods.Register, RegisterAsync);

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    private Task<GrpcResult<RegisterResponse>> RegisterAsync(RegisterRequest request, GrpcServerContext context)
    {
        GrpcStatus status = HelloRules.Check(request, context.Identity?.Name ?? "*", _options) ?? GrpcStatus.Ok;
        if (status.IsOk && !Fleet.Register(request.AgentId, request.Version, request.Labels))
            status = new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{_options.MaxAgents} agents are known already (IngestOptions.MaxAgents)");
        RegisterResponse? response = status.IsOk
            ? new RegisterResponse { StoreId = _store.StoreId, Version = typeof(AggregatorService).Assembly.GetName().Version?.ToString(3) ?? "0.0.0", ClockUnixMs = NowMs }
            : null;
        return Task.FromResult(new GrpcResult<RegisterResponse>(status, response, context.Trailers));
    }

    private Task<GrpcStatus> StreamAsync(GrpcServerStream<AgentMessage, AggregatorMessage> stream, GrpcServerContext context) =>
        new RunningSession(this, stream, context).RunAsync();

    [LoggerMessage(2101, LogLevel.Information, "agent {Agent}: connected from {Remote}; its clock is {OffsetMs:0} ms {Direction} ours")]
    private static partial void Connected(ILogger log, string agent, string remote, double offsetMs, string direction);

    [LoggerMessage(2102, LogLevel.Information, "agent {Agent}: session ended: {Reason}")]
    private static partial void Ended(ILogger log, string agent, string reason);

    [LoggerMessage(2103, LogLevel.Warning, "agent {Agent}: its clock is {OffsetMs:0} ms {Direction} ours, more than {BoundMs} ms: check time synchronisation on both hosts")]
    private static partial void ClockIsOff(ILogger log, string agent, double offsetMs, string direction, double boundMs);

    [LoggerMessage(2104, LogLevel.Warning, "agent {Agent}: a newer process with the same identity has come; the older session was ended")]
    private static partial void WasFenced(ILogger log, string agent);

    [LoggerMessage(2105, LogLevel.Warning, "{Remote}: session refused: {Reason} ({Untold} such sessions since the last line)")]
    private static partial void SessionRefused(ILogger log, string remote, string reason, long untold);

    [LoggerMessage(2108, LogLevel.Warning, "agent {Agent} at {Remote}: its credential has been revoked; its session is ended")]
    private static partial void CredentialRevoked(ILogger log, string agent, string remote);

    [LoggerMessage(2106, LogLevel.Error, "agent {Agent}: segment {Segment}: {Records} records refused for good, the first is {Record}: {Reason}")]
    private static partial void RecordWasRefused(ILogger log, string agent, ulong segment, int records, ulong record, string reason);

    [LoggerMessage(2107, LogLevel.Error, "agent {Agent}: the store takes nothing: {Reason}")]
    private static partial void StoreTakesNothing(ILogger log, string agent, string reason);

    /// <summary>One open stream: a reader that hands runs to the store, and a completer that acknowledges them in order.</summary>
    private sealed class RunningSession
    {
        private readonly AggregatorService _service;
        private readonly GrpcServerStream<AgentMessage, AggregatorMessage> _stream;
        private readonly GrpcServerContext _context;
        private readonly IngestSession _session;
        private readonly Lock _gate = new();
        private readonly Channel<(HandedRun Handed, Task<RunResult> Result)> _underWay;
        private readonly Channel<bool> _room = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        private readonly IngestEffects _readEffects = new();
        private readonly IngestEffects _appliedEffects = new();
        private long _bytesUnderWay;
        private bool _clockWarned;
        private string _ended = "the connection ended";

        public RunningSession(AggregatorService service, GrpcServerStream<AgentMessage, AggregatorMessage> stream, GrpcServerContext context)
        {
            _service = service;
            _stream = stream;
            _context = context;
            _underWay = Channel.CreateBounded<(HandedRun, Task<RunResult>)>(service._options.MaxRunsUnderWay);
            _session = new IngestSession(service._options, service._store, service.Fleet, context.Identity?.Name ?? "*", new FleetSession(Replaced));
        }

        private string Agent => _session.AgentId ?? "";

        private string Direction => _session.ClockOffsetMs < 0 ? "behind" : "ahead of";

        private string Remote => _context.Remote?.ToString() ?? "";

        public async Task<GrpcStatus> RunAsync()
        {
            Task completing = CompleteAsync();
            _service._open[this] = true;
            try
            {
                EndIfRevoked();
                await ReadAsync();
                _ended = _session.SaidGoodbye ? "it said goodbye" : "the agent ended its stream";
                return GrpcStatus.Ok;
            }
            finally
            {
                // What is under way is still applied, counted and, if the call still stands, acknowledged; the handler never outlives its call.
                _service._open.TryRemove(this, out _);
                _underWay.Writer.TryComplete();
                await completing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                _session.Ended();
                if (_session.AgentId is not null)
                    Ended(_service._log, Agent, _ended);
            }
        }

        public void EndIfRevoked()
        {
            if (_context.Identity is not { } identity || _service.IsInForce(identity))
                return;
            CredentialRevoked(_service._log, Agent, Remote);
            End(new GrpcStatus(GrpcStatusCode.Unauthenticated, "the credential of this session has been revoked"));
        }

        private void Replaced(bool anotherProcess)
        {
            if (anotherProcess)
            {
                _service._counters.Fenced.Add(1);
                WasFenced(_service._log, Agent);
            }
            End(new GrpcStatus(GrpcStatusCode.Aborted, anotherProcess ? "a newer process with the same identity has come" : "the same process has connected again"));
        }

        private void End(GrpcStatus status)
        {
            _ended = status.ToString();
            _context.End(status);
        }

        private async Task ReadAsync()
        {
            while (await _stream.ReadAsync() is { } message)
            {
                bool wasGreeted = _session.AgentId is not null;
                lock (_gate)
                    _session.Received(_service.NowMs, message, _readEffects);
                foreach (AggregatorMessage answer in _readEffects.Send)
                    await _stream.WriteAsync(answer);
                if (_readEffects.End is { } end)
                {
                    _service._counters.SessionsRefused.Add(1);
                    string reason = end.ToString();
                    // It comes again every second until somebody mends it, each time from another port.
                    if (_service._refusedLines.IsDue((Remote[..Math.Max(0, Remote.LastIndexOf(':'))], reason), out long untold))
                        SessionRefused(_service._log, Remote, reason, untold);
                    End(end);
                    return;
                }
                if (!wasGreeted)
                {
                    _service._counters.Sessions.Add(1);
                    Connected(_service._log, Agent, Remote, Math.Abs(_session.ClockOffsetMs), Direction);
                }
                WatchClock();
                if (_readEffects.Apply is { } run)
                    await HandAsync(run);
            }
        }

        private async Task HandAsync(HandedRun run)
        {
            _service._counters.Bytes.Add(run.Bytes);
            Interlocked.Add(ref _bytesUnderWay, run.Bytes);
            // Not cancelled with the call: what the store has taken it finishes, so that its counts stay true.
            Task<RunResult> result = _service._store.ApplyAsync(run.Run, CancellationToken.None).AsTask();
            await _underWay.Writer.WriteAsync((run, result), CancellationToken.None);
            // An agent that keeps to its window never waits here; one that does not is held by flow control.
            while (Interlocked.Read(ref _bytesUnderWay) > 2L * _service._options.WindowBytes)
                await _room.Reader.ReadAsync(_context.Cancellation);
        }

        private async Task CompleteAsync()
        {
            await foreach ((HandedRun handed, Task<RunResult> applying) in _underWay.Reader.ReadAllAsync(CancellationToken.None))
            {
                try
                {
                    await AcknowledgeAsync(handed, await applying);
                }
                catch (Exception e)
                {
                    // The rest is still waited for; without an acknowledgement the agent sends it again.
                    End(e is GrpcStatusException status ? status.Status : new GrpcStatus(GrpcStatusCode.Internal, $"acknowledging failed: {e.Message}"));
                }
                Interlocked.Add(ref _bytesUnderWay, -handed.Bytes);
                _room.Writer.TryWrite(true);
            }
        }

        private async Task AcknowledgeAsync(HandedRun handed, RunResult result)
        {
            lock (_gate)
                _session.Applied(handed, result, _appliedEffects);
            Count(handed, result);
            if (_appliedEffects.End is { } end)
            {
                StoreTakesNothing(_service._log, Agent, end.Message);
                End(end);
            }
            foreach (AggregatorMessage answer in _appliedEffects.Send)
            {
                if (!_context.Cancellation.IsCancellationRequested)
                    await _stream.WriteAsync(answer);
            }
        }

        private void Count(HandedRun handed, RunResult result)
        {
            IngestCounters counters = _service._counters;
            if (handed.Taken(result) is > 0 and long taken)
                counters.Records.Add(taken);
            foreach (AppliedTick tick in result.Ticks)
                counters.Samples.Add(tick.Samples);
            foreach (AggregatorMessage message in _appliedEffects.Send)
            {
                if (message.Control?.Resend is not null)
                    counters.Resends.Add(1);
            }
            if (result.Refused.Count == 0)
                return;
            counters.Refused.Add(result.Refused.Count);
            RecordWasRefused(_service._log, Agent, handed.Run.Segment.Number, result.Refused.Count, result.Refused[0].Record, result.Refused[0].Reason);
        }

        private void WatchClock()
        {
            double bound = _service._options.ClockOffsetWarning.TotalMilliseconds;
            bool off = _session.IsClockOff;
            if (off && !_clockWarned)
                ClockIsOff(_service._log, Agent, Math.Abs(_session.ClockOffsetMs), Direction, bound);
            _clockWarned = off;
        }
    }
}

/// <summary>The counters of the agents' door.</summary>
internal sealed class IngestCounters(Meter meter)
{
    public Counter<long> Sessions { get; } = meter.CreateCounter<long>(MetricNames.IngestSessions, description: "Sessions that said hello.");

    public Counter<long> SessionsRefused { get; } = meter.CreateCounter<long>(MetricNames.IngestSessionsRefused, description: "Sessions refused (identity, hello, limits).");

    public Counter<long> Fenced { get; } = meter.CreateCounter<long>(MetricNames.IngestFenced, description: "Sessions ended because another process came with the same identity.");

    public Counter<long> Records { get; } = meter.CreateCounter<long>(MetricNames.IngestRecords, description: "Records applied and durable.");

    public Counter<long> Bytes { get; } = meter.CreateCounter<long>(MetricNames.IngestBytes, unit: "bytes", description: "Payload bytes received.");

    public Counter<long> Samples { get; } = meter.CreateCounter<long>(MetricNames.IngestSamples, description: "Samples applied.");

    public Counter<long> Refused { get; } = meter.CreateCounter<long>(MetricNames.IngestRecordsRefused, description: "Records refused for good.");

    public Counter<long> Resends { get; } = meter.CreateCounter<long>(MetricNames.IngestResends, description: "Segments that had to be sent again from their start.");
}
