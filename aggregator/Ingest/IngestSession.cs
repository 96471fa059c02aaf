using Bellwether.Core.Grpc;
using Bellwether.Store;
using Bellwether.V1;

namespace Bellwether.Ingest;

/// <summary>What is to be done after a step. Not thread-safe.</summary>
internal sealed class IngestEffects
{
    /// <summary>Messages to send, in order.</summary>
    public List<AggregatorMessage> Send { get; } = [];

    /// <summary>A run to hand to the store; its result comes back by <see cref="IngestSession.Applied"/>, in the order in which runs were handed over.</summary>
    public HandedRun? Apply { get; set; }

    /// <summary>The session is over with this status; null while it goes on.</summary>
    public GrpcStatus? End { get; set; }

    internal void Clear()
    {
        Send.Clear();
        Apply = null;
        End = null;
    }
}

/// <summary>A run on its way through the store.</summary>
/// <param name="Run">The run.</param>
/// <param name="Bytes">Its payload bytes.</param>
/// <param name="Round">How often its segment had been asked for again when the run came.</param>
internal sealed record HandedRun(RecordRun Run, int Bytes, int Round)
{
    /// <summary>How many of its records are held now.</summary>
    public long Taken(RunResult result) => result.Outcome switch
    {
        RunOutcome.Applied => Run.Records.Count,
        RunOutcome.Ahead when result.Progress.Records > Run.FirstRecord => (long)(result.Progress.Records - Run.FirstRecord),
        _ => 0,
    };
}

/// <summary>
/// One agent's session at the aggregator, without I/O (docs/ARCHITECTURE.md, idea 8). The order of a session: 1 hello, checked against the identity that the credential showed;
/// 2 join the fleet, fencing an older process; 3 answer what is held; 4 hand runs to the store; 5 acknowledge what is durable; 6 pass watermarks on once
/// everything before them is durable. Not thread-safe.
/// </summary>
internal sealed class IngestSession
{
    private readonly IngestOptions _options;
    private readonly IRecordStore _store;
    private readonly AgentFleet _fleet;
    private readonly string _identity;
    private readonly FleetSession _handle;
    private readonly Dictionary<SegmentKey, Resending> _resending = [];
    private readonly HashSet<SegmentKey> _abandoned = [];
    private readonly Queue<(long UnixMs, long After)> _watermarks = new();
    private readonly HashSet<SegmentKey> _announced = [];
    private bool _liveBegan;
    private long _handed;
    private long _applied;
    private int _clocksHeard;

    /// <summary>Watermarks that may wait for runs; of more, the older ones give way to the newer.</summary>
    private const int MaxWatermarksWaiting = 16;

    /// <summary>Watermarks that must have come before a clock is called late; one comes every half second.</summary>
    private const int ClocksForLate = 8;

    /// <summary>Segments remembered for which a new one was asked for; it is asked for once each.</summary>
    private const int MaxAbandoned = 1024;

    private sealed class Resending
    {
        public int Round;
        public bool AwaitsStart;
    }

    /// <summary>Makes a session.</summary>
    /// <param name="options">Limits.</param>
    /// <param name="store">Where records go.</param>
    /// <param name="fleet">Who is there.</param>
    /// <param name="identity">What the credential showed; <c>*</c>: the agent may name itself.</param>
    /// <param name="handle">The fleet's hold on this session.</param>
    public IngestSession(IngestOptions options, IRecordStore store, AgentFleet fleet, string identity, FleetSession handle)
    {
        _options = options;
        _store = store;
        _fleet = fleet;
        _identity = identity;
        _handle = handle;
    }

    /// <summary>The agent, once its hello was accepted.</summary>
    public string? AgentId { get; private set; }

    /// <summary>Payload bytes handed to the store and not yet durable.</summary>
    public long BytesUnderWay { get; private set; }

    /// <summary>Runs handed to the store and not yet durable.</summary>
    public long RunsUnderWay => _handed - _applied;

    /// <summary>The agent's clock minus ours, ms, as last measured.</summary>
    public double ClockOffsetMs { get; private set; }

    /// <summary>
    /// Whether the agent's clock is off by more than <see cref="IngestOptions.ClockOffsetWarning"/>. A message that was long on its way makes a clock look late, as right after a start: that
    /// counts only when several have said it.
    /// </summary>
    public bool IsClockOff
    {
        get
        {
            double bound = _options.ClockOffsetWarning.TotalMilliseconds;
            return ClockOffsetMs > bound || (ClockOffsetMs < -bound && _clocksHeard >= ClocksForLate);
        }
    }

    /// <summary>Segments asked for again.</summary>
    public long Resends { get; private set; }

    /// <summary>It said goodbye.</summary>
    public bool SaidGoodbye { get; private set; }

    /// <summary>A message came.</summary>
    public void Received(long nowMs, AgentMessage message, IngestEffects effects)
    {
        effects.Clear();
        if ((message.KindCase == AgentMessage.KindOneofCase.Hello) == (AgentId is not null))
        {
            effects.End = AgentId is null
                ? new GrpcStatus(GrpcStatusCode.InvalidArgument, "the first message of a session must be a hello")
                : new GrpcStatus(GrpcStatusCode.InvalidArgument, "a session has one hello");
            return;
        }
        switch (message.KindCase)
        {
            case AgentMessage.KindOneofCase.Hello:
                Greet(nowMs, message.Hello, effects);
                break;
            case AgentMessage.KindOneofCase.Records:
                Take(nowMs, message.Records, effects);
                break;
            case AgentMessage.KindOneofCase.Watermark:
                if (_watermarks.Count == MaxWatermarksWaiting)
                    _watermarks.Dequeue();
                ClockOffsetMs = _fleet.Told(AgentId!, message.Watermark);
                _clocksHeard++;
                _watermarks.Enqueue((message.Watermark.UnixMs, _handed));
                PassWatermarks();
                break;
            case AgentMessage.KindOneofCase.Targets:
                _fleet.Told(AgentId!, message.Targets);
                break;
            case AgentMessage.KindOneofCase.Report:
                _fleet.Told(AgentId!, message.Report);
                break;
            case AgentMessage.KindOneofCase.Goodbye:
                SaidGoodbye = true;
                _fleet.Goodbye(AgentId!, message.Goodbye);
                break;
        }
    }

    /// <summary>The store has done with the oldest run under way.</summary>
    public void Applied(HandedRun handed, RunResult result, IngestEffects effects)
    {
        effects.Clear();
        _applied++;
        BytesUnderWay -= handed.Bytes;
        switch (result.Outcome)
        {
            case RunOutcome.Applied:
                Acknowledge(handed, result, effects);
                break;
            case RunOutcome.NeedsStart:
                AskAgain(handed, effects);
                break;
            case RunOutcome.Ahead:
                Acknowledge(handed, result, effects);
                effects.End = new GrpcStatus(GrpcStatusCode.ResourceExhausted, result.Error ?? "the samples are too far ahead of our clock");
                break;
            case RunOutcome.Unavailable:
                effects.End = new GrpcStatus(GrpcStatusCode.ResourceExhausted, result.Error ?? "the store takes nothing now");
                break;
        }
        PassWatermarks();
    }

    /// <summary>The call has ended, in whatever way.</summary>
    public void Ended()
    {
        if (AgentId is not null)
            _fleet.Leave(AgentId, _handle);
    }

    private void Greet(long nowMs, Hello hello, IngestEffects effects)
    {
        if ((HelloRules.Check(hello, _identity, _options) ?? EpochRefusal(hello)) is { } refusal)
        {
            // Who names another agent than its credential shows is noted where the credential belongs.
            _fleet.Book?.Refused(nowMs, _identity == "*" ? hello.AgentId : _identity, refusal.Message);
            effects.End = refusal;
            return;
        }
        switch (_fleet.Join(hello, hello.ProcessId, _handle))
        {
            case JoinOutcome.Fenced:
                _fleet.Book?.Refused(nowMs, hello.AgentId, $"a newer process runs as agent '{hello.AgentId}'; process '{hello.ProcessId}' was turned away");
                effects.End = new GrpcStatus(GrpcStatusCode.FailedPrecondition, $"a newer process runs as agent '{hello.AgentId}'; two processes cannot share an identity");
                return;
            case JoinOutcome.Full:
                effects.End = new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{_options.MaxAgents} agents are known already (IngestOptions.MaxAgents)");
                return;
        }
        AgentId = hello.AgentId;
        _announced.UnionWith(hello.OpenSegments.Select(Key));
        ClockOffsetMs = hello.ClockUnixMs - nowMs;
        var answer = new HelloAnswer
        {
            StoreId = _store.StoreId,
            Version = ProductVersion,
            ClockUnixMs = nowMs,
            MaxBatchBytes = (uint)_options.MaxBatchBytes,
            WatermarkIntervalMs = (uint)_options.WatermarkInterval.TotalMilliseconds,
            WindowBytes = (uint)_options.WindowBytes,
            FirstNumber = _fleet.Book?.FirstNumberOf(nowMs, AgentFleet.GreetingOf(hello)) ?? 0,
        };
        effects.Send.Add(new AggregatorMessage { Hello = answer });
        foreach (SegmentId segment in hello.OpenSegments)
        {
            SegmentProgress held = _store.HeldOf(Key(segment));
            answer.Held.Add(Wire(held));
            if (!held.Complete && held.Records > 0 && !held.Resumable)
                effects.Send.Add(Resend(held.Segment));
        }
        foreach (SegmentId segment in hello.DroppedSegments)
            answer.Held.Add(Wire(_store.HeldOf(Key(segment))));
    }

    private GrpcStatus? EpochRefusal(Hello hello) =>
        _fleet.Book?.RefusalOf(AgentFleet.GreetingOf(hello)) is { } reason ? new GrpcStatus(GrpcStatusCode.FailedPrecondition, reason) : null;

    private void Take(long nowMs, RecordBatch batch, IngestEffects effects)
    {
        if (batch.Segment is null)
        {
            effects.End = new GrpcStatus(GrpcStatusCode.InvalidArgument, "a record batch names its segment");
            return;
        }
        if (batch.Records.Count > _options.MaxRecordsPerBatch)
        {
            effects.End = new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{batch.Records.Count} records in one batch are above the limit of {_options.MaxRecordsPerBatch} (IngestOptions.MaxRecordsPerBatch)");
            return;
        }
        var records = new ReadOnlyMemory<byte>[batch.Records.Count];
        int bytes = 0;
        for (int i = 0; i < records.Length; i++)
        {
            records[i] = batch.Records[i].Memory;
            bytes += records[i].Length;
        }
        _fleet.Received(AgentId!, bytes);
        SegmentKey key = Key(batch.Segment);
        if (!_liveBegan && !_announced.Contains(key))
        {
            _liveBegan = true;
            _fleet.Book?.LiveBegan(nowMs, AgentId!, key.Epoch, key.Number);
        }
        int round = 0;
        if (_resending.TryGetValue(key, out Resending? resending))
        {
            // What was on its way before the agent read 'send again' would only be refused again.
            if (resending.AwaitsStart && batch.FirstRecord != 0)
                return;
            resending.AwaitsStart = false;
            round = resending.Round;
        }
        effects.Apply = new HandedRun(new RecordRun(key, batch.FirstRecord, records, batch.Last, ClockOffsetMs), bytes, round);
        _handed++;
        BytesUnderWay += bytes;
    }

    private void Acknowledge(HandedRun handed, RunResult result, IngestEffects effects)
    {
        var acknowledgement = new Acknowledgement();
        acknowledgement.Held.Add(Wire(result.Progress));
        foreach (RefusedRecord refused in result.Refused)
            acknowledgement.Refused.Add(new RecordRefused { Segment = Wire(result.Progress).Segment, Record = refused.Record, Reason = refused.Reason });
        if (result.Progress.Complete)
            _resending.Remove(handed.Run.Segment);
        effects.Send.Add(new AggregatorMessage { Ack = acknowledgement });
        // Behind a refused record nothing of its segment can be applied: the sooner a new one begins, the less is lost.
        if (result.Refused.Count > 0 && !handed.Run.Last && _abandoned.Add(handed.Run.Segment))
        {
            if (_abandoned.Count > MaxAbandoned)
                _abandoned.Clear();
            effects.Send.Add(new AggregatorMessage { Control = new Control { StartSegment = new StartSegment { Reason = $"record {result.Refused[0].Record} of segment {handed.Run.Segment.Number} was refused: {result.Refused[0].Reason}" } } });
        }
        _fleet.Applied(AgentId!, result, handed.Taken(result));
    }

    private void AskAgain(HandedRun handed, IngestEffects effects)
    {
        int round = _resending.TryGetValue(handed.Run.Segment, out Resending? resending) ? resending.Round : 0;
        // Runs that were under way together fail together: one request is enough.
        if (handed.Round != round || resending is { AwaitsStart: true })
            return;
        if (_resending.Count >= _options.MaxAnnouncedSegments && resending is null)
            effects.End = new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"{_resending.Count} segments were asked for again and did not come whole, the limit is IngestOptions.MaxAnnouncedSegments");
        else
            effects.Send.Add(Resend(handed.Run.Segment));
    }

    private AggregatorMessage Resend(SegmentKey key)
    {
        if (!_resending.TryGetValue(key, out Resending? resending))
            _resending.Add(key, resending = new Resending());
        resending.Round++;
        resending.AwaitsStart = true;
        Resends++;
        return new AggregatorMessage { Control = new Control { Resend = new Resend { Segment = new SegmentId { Epoch = key.Epoch, Number = key.Number, Nonce = key.Nonce } } } };
    }

    private void PassWatermarks()
    {
        while (_watermarks.TryPeek(out (long UnixMs, long After) next) && next.After <= _applied)
        {
            _watermarks.Dequeue();
            _fleet.Passed(AgentId!, next.UnixMs);
        }
    }

    private static string ProductVersion { get; } = typeof(IngestSession).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    private SegmentKey Key(SegmentId id) => new(AgentId!, id.Epoch, id.Number, id.Nonce);

    private static SegmentHeld Wire(SegmentProgress held) => new()
    {
        Segment = new SegmentId { Epoch = held.Segment.Epoch, Number = held.Segment.Number, Nonce = held.Segment.Nonce },
        Records = held.Records,
        Complete = held.Complete,
    };
}
