using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Agent.Stream;

/// <summary>Who this agent is, as its hello says.</summary>
internal sealed record StreamIdentity
{
    /// <summary>The agent's id; must be the one that its credential is bound to.</summary>
    public required string AgentId { get; init; }

    /// <summary>Program version.</summary>
    public required string Version { get; init; }

    /// <summary>Random per process start.</summary>
    public required string ProcessId { get; init; }

    /// <summary>The agent's own labels.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>What it can.</summary>
    public IReadOnlyList<string> Capabilities { get; init; } = ["format/1"];
}

/// <summary>What happened, for <see cref="StreamSession.Step"/>.</summary>
internal enum StreamEventKind
{
    /// <summary>The call is open: say hello.</summary>
    Opened,
    /// <summary>A message came.</summary>
    Received,
    /// <summary>The transport can take a message; also after a wake-up and after the spool grew.</summary>
    Writable,
    /// <summary>The agent stops: drain what the time allows, then say goodbye.</summary>
    Stop,
}

/// <summary>An event and what came with it.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Message">The message, when one came.</param>
/// <param name="DrainUntilMs">Until when (Unix ms) stopping may wait for acknowledgements.</param>
internal readonly record struct StreamEvent(StreamEventKind Kind, AggregatorMessage? Message = null, long DrainUntilMs = 0);

/// <summary>What is to be done; the caller clears nothing: every step begins empty. Not thread-safe.</summary>
internal sealed class StreamEffects
{
    /// <summary>A message to send now; null: nothing to send until the next event.</summary>
    public AgentMessage? Send { get; set; }

    /// <summary>A configuration that the aggregator sent.</summary>
    public NewConfiguration? Configuration { get; set; }

    /// <summary>The session is over, in words; null while it goes on. A goodbye in <see cref="Send"/> goes out first.</summary>
    public string? End { get; set; }

    /// <summary>When (Unix ms) to step again if nothing happens before; <see cref="long.MaxValue"/>: no need.</summary>
    public long WakeAtMs { get; set; }

    internal void Clear()
    {
        Send = null;
        Configuration = null;
        End = null;
        WakeAtMs = long.MaxValue;
    }
}

/// <summary>
/// One session with an aggregator, without I/O of its own but the spool's (docs/ARCHITECTURE.md, ideas 3 and 8). Every session starts a new segment once it is answered: what is collected from then on
/// (the live segments) goes first; the backlog behind it takes what is left of the window. Records are freed only when acknowledged. Not thread-safe.
/// </summary>
internal sealed class StreamSession
{
    /// <summary>Bytes under way when the aggregator names no window.</summary>
    public const int DefaultWindowBytes = 1024 * 1024;

    /// <summary>Bytes of a batch when the aggregator names no limit.</summary>
    public const int DefaultBatchBytes = 256 * 1024;

    /// <summary>How often a watermark goes out as a sign of life when the aggregator asks for none.</summary>
    public const long QuietIntervalMs = 30_000;

    /// <summary>How long a watermark may be overdue before the agent says at least that it lives.</summary>
    public const long SignOfLifeMs = 1_000;

    /// <summary>How soon to try again when nothing could be sent.</summary>
    public const long RetryMs = 100;

    private readonly StreamIdentity _identity;
    private readonly IStreamSpool _spool;
    private readonly IWatermarkSource _watermarks;
    private readonly TargetTeller? _targets;
    private readonly ReportTeller? _reports;
    private readonly BacklogShare _share = new();
    private bool _lastReportOut;
    private long _nowMs;
    private long _backlogUnderWay;
    private readonly Dictionary<SegmentRef, Sending> _sending = [];
    private readonly HashSet<SegmentRef> _resent = [];
    private readonly List<SpooledSegment> _segments = [];
    private readonly List<SegmentRef> _dropped = [];
    private readonly List<ReadOnlyMemory<byte>> _payloads = [];
    private ulong _liveFrom = ulong.MaxValue;
    private bool _greeted;
    private bool _stopping;
    private bool _over;
    private long _drainUntilMs;
    private long _helloAtMs;
    private int _windowBytes = DefaultWindowBytes;
    private int _batchBytes = DefaultBatchBytes;
    private long _watermarkIntervalMs = QuietIntervalMs;
    private long _nextWatermarkMs;
    private long _promisedMs;

    /// <summary>Makes a session; it begins with <see cref="StreamEventKind.Opened"/>.</summary>
    public StreamSession(StreamIdentity identity, IStreamSpool spool, IWatermarkSource watermarks, TargetTeller? targets = null, ReportTeller? reports = null)
    {
        _reports = reports;
        _targets = targets;
        _identity = identity;
        _spool = spool;
        _watermarks = watermarks;
    }

    private sealed class Sending
    {
        /// <summary>Index of the next record to send.</summary>
        public ulong Next;

        /// <summary>The closing message has been sent.</summary>
        public bool LastSent;

        /// <summary>Held by the aggregator, wholly.</summary>
        public bool Complete;

        /// <summary>What is under way: index behind a batch, and its bytes.</summary>
        public readonly Queue<SentBatch> UnderWay = new();
    }

    private readonly record struct SentBatch(ulong End, bool Last, int Bytes, long SentMs);

    /// <summary>Bounds the bytes a second over all sessions; null: no bound.</summary>
    public BandwidthLimit? Bandwidth { get; init; }

    /// <summary>The aggregator's store id, once it has answered.</summary>
    public string? StoreId { get; private set; }

    /// <summary>The aggregator's clock minus ours, in ms, by the middle of the hello's round trip.</summary>
    public double ClockOffsetMs { get; private set; }

    /// <summary>The number of the first live segment; the highest number there is until the aggregator has answered.</summary>
    public ulong LiveFrom => _liveFrom;

    /// <summary>Payload bytes sent and not yet acknowledged.</summary>
    public long UnderWayBytes { get; private set; }

    /// <summary>Records sent in this session.</summary>
    public long RecordsSent { get; private set; }

    /// <summary>Payload bytes sent in this session.</summary>
    public long BytesSent { get; private set; }

    /// <summary>Records refused by the aggregator in this session: they count as delivered, so that poison never blocks.</summary>
    public long RecordsRefused { get; private set; }

    /// <summary>The last refusal in words.</summary>
    public string? LastRefusal { get; private set; }

    /// <summary>The state machine: what happened at a time, what to do about it.</summary>
    /// <param name="nowMs">Unix ms.</param>
    /// <param name="happened">The event.</param>
    /// <param name="effects">Filled.</param>
    public void Step(long nowMs, in StreamEvent happened, StreamEffects effects)
    {
        effects.Clear();
        _nowMs = nowMs;
        switch (happened.Kind)
        {
            case StreamEventKind.Opened:
                Open(nowMs, effects);
                return;
            case StreamEventKind.Received:
                Receive(nowMs, happened.Message!, effects);
                break;
            case StreamEventKind.Stop:
                if (!_stopping)
                    _spool.StartSegment();
                _stopping = true;
                _drainUntilMs = happened.DrainUntilMs;
                break;
        }
        if (effects.End is null && !_over)
            Continue(nowMs, effects);
    }

    private void Open(long nowMs, StreamEffects effects)
    {
        _helloAtMs = nowMs;
        var hello = new Hello { AgentId = _identity.AgentId, Epoch = _spool.Epoch, Version = _identity.Version, ClockUnixMs = nowMs, ProcessId = _identity.ProcessId, NextNumber = _spool.NextNumber };
        foreach ((string name, string value) in _identity.Labels)
            hello.Labels[name] = value;
        hello.Capabilities.AddRange(_identity.Capabilities);
        _spool.ListSegments(_segments);
        foreach (SpooledSegment segment in _segments)
            hello.OpenSegments.Add(Wire(segment.Id));
        _spool.ListDropped(_dropped);
        hello.DroppedSegments.AddRange(_dropped.Select(Wire));
        effects.Send = new AgentMessage { Hello = hello };
    }

    private void Receive(long nowMs, AggregatorMessage message, StreamEffects effects)
    {
        switch (message.KindCase)
        {
            case AggregatorMessage.KindOneofCase.Hello:
                Greet(nowMs, message.Hello, effects);
                break;
            case AggregatorMessage.KindOneofCase.Ack when _greeted:
                Acknowledge(message.Ack);
                break;
            case AggregatorMessage.KindOneofCase.Control when _greeted:
                Control(message.Control, effects);
                break;
            case AggregatorMessage.KindOneofCase.None:
                // A newer aggregator says something that this agent does not know: the wire only grows.
                break;
            default:
                effects.End = $"the aggregator sent '{message.KindCase}' before it answered the hello";
                break;
        }
        _over |= effects.End is not null;
    }

    private void Greet(long nowMs, HelloAnswer answer, StreamEffects effects)
    {
        if (_greeted || answer.StoreId.Length == 0)
        {
            effects.End = _greeted ? "the aggregator answered the hello twice" : "the aggregator's answer has no store id";
            return;
        }
        _greeted = true;
        if (answer.FirstNumber > 0)
            _spool.SkipTo(answer.FirstNumber);
        // Only now: while the aggregator is away attempts must not cut the spool into small segments, each of which defines all series again.
        _liveFrom = _spool.StartSegment();
        StoreId = answer.StoreId;
        ClockOffsetMs = answer.ClockUnixMs - ((_helloAtMs + nowMs) / 2.0);
        _windowBytes = answer.WindowBytes == 0 ? DefaultWindowBytes : (int)Math.Min(answer.WindowBytes, int.MaxValue);
        _batchBytes = answer.MaxBatchBytes == 0 ? DefaultBatchBytes : (int)Math.Min(answer.MaxBatchBytes, int.MaxValue);
        _watermarkIntervalMs = answer.WatermarkIntervalMs == 0 ? QuietIntervalMs : answer.WatermarkIntervalMs;
        _nextWatermarkMs = nowMs;
        _share.Start(_windowBytes, _batchBytes);
        foreach (SegmentHeld held in answer.Held)
            Hold(held);
    }

    private void Acknowledge(Acknowledgement acknowledgement)
    {
        foreach (SegmentHeld held in acknowledgement.Held)
            Hold(held);
        foreach (RecordRefused refused in acknowledgement.Refused)
        {
            RecordsRefused++;
            LastRefusal = $"segment {refused.Segment?.Number}, record {refused.Record}: {refused.Reason}";
        }
    }

    private void Hold(SegmentHeld held)
    {
        if (held.Segment is null)
            return;
        SegmentRef id = Ref(held.Segment);
        if (_dropped.Contains(id))
        {
            _spool.Acknowledge(id, held.Records, held.Complete);
            return;
        }
        Sending sending = Of(id);
        // On resuming, what is held already is not sent again unless the aggregator asks for it (Resend).
        if (sending.UnderWay.Count == 0 && sending.Next < held.Records && !_resent.Contains(id))
            sending.Next = held.Records;
        while (sending.UnderWay.TryPeek(out SentBatch batch) && batch.End <= held.Records && (!batch.Last || held.Complete))
        {
            sending.UnderWay.Dequeue();
            Landed(id, batch.Bytes);
            if (id.Number < _liveFrom)
                _share.Acknowledged(batch.SentMs, _nowMs, batch.Bytes);
        }
        _spool.Acknowledge(id, held.Records, held.Complete);
        // Of a segment that is complete there the number of records may not be known any more, as when its acknowledgement was lost on the way: then it is sent again, and told record by record.
        if (!held.Complete || !sending.LastSent || sending.UnderWay.Count > 0)
            return;
        sending.Complete = true;
        Forget(id, sending);
    }

    private void Forget(SegmentRef id, Sending sending)
    {
        foreach (SentBatch batch in sending.UnderWay)
            Landed(id, batch.Bytes);
        sending.UnderWay.Clear();
        sending.LastSent = true;
        _resent.Remove(id);
    }

    /// <summary>Bytes of a segment are not under way any more.</summary>
    private void Landed(SegmentRef id, int bytes)
    {
        UnderWayBytes -= bytes;
        if (id.Number < _liveFrom)
            _backlogUnderWay -= bytes;
    }

    private void Control(Control control, StreamEffects effects)
    {
        switch (control.KindCase)
        {
            case V1.Control.KindOneofCase.StartSegment:
                _spool.StartSegment();
                break;
            case V1.Control.KindOneofCase.Resend when control.Resend.Segment is { } segment:
                SegmentRef id = Ref(segment);
                Sending sending = Of(id);
                foreach (SentBatch batch in sending.UnderWay)
                    Landed(id, batch.Bytes);
                sending.UnderWay.Clear();
                sending.Next = 0;
                sending.LastSent = false;
                _resent.Add(id);
                break;
            case V1.Control.KindOneofCase.Configuration:
                effects.Configuration = control.Configuration;
                break;
        }
    }

    /// <summary>At most one message: watermark when it is due and true, then live records, then backlog.</summary>
    private void Continue(long nowMs, StreamEffects effects)
    {
        if (!_greeted)
        {
            if (_stopping)
                End(effects, "stopped before the aggregator answered");
            return;
        }
        long promised = _watermarks.PromisedMs;
        _spool.ListSegments(_segments);
        Prune();
        bool liveIsOut = TrySend(live: true, effects, out bool liveWaits);
        if (effects.Send is not null)
            return;
        // A clock that went back must not silence the signs of life until the old time comes again.
        _nextWatermarkMs = Math.Min(_nextWatermarkMs, nowMs + _watermarkIntervalMs);
        if (liveIsOut && nowMs >= _nextWatermarkMs)
        {
            _nextWatermarkMs = nowMs + _watermarkIntervalMs;
            _promisedMs = promised;
            effects.Send = Watermark(nowMs, promised);
            return;
        }
        // While live records wait (for a limit, for acknowledgements) nothing new can be promised; that this agent lives is said all the same.
        if (nowMs - _nextWatermarkMs >= Math.Max(_watermarkIntervalMs, SignOfLifeMs))
        {
            _nextWatermarkMs = nowMs;
            effects.Send = Watermark(nowMs, _promisedMs);
            return;
        }
        // Facts for people go behind what is live; they wait for nobody and hold nobody up.
        if (liveIsOut && !_stopping && _targets?.Next(nowMs) is { } facts)
        {
            effects.Send = facts;
            return;
        }
        if (liveIsOut && !_stopping && _reports?.Next(nowMs, _liveFrom, last: false) is { } report)
        {
            effects.Send = report;
            return;
        }
        bool backlogWaits = false;
        bool backlogIsOut = !liveWaits && TrySend(live: false, effects, out backlogWaits);
        if (effects.Send is not null)
            return;
        if (_stopping)
            Leave(nowMs, effects, liveIsOut && backlogIsOut);
        // What waits for acknowledgements is woken by them; a spool that could not be read is asked again.
        long retryMs = liveWaits || backlogWaits ? nowMs + RetryMs : long.MaxValue;
        effects.WakeAtMs = Math.Min(effects.WakeAtMs, Math.Min(retryMs, liveIsOut ? Math.Max(_nextWatermarkMs, nowMs + 1) : retryMs));
    }

    private void Leave(long nowMs, StreamEffects effects, bool everythingIsOut)
    {
        bool drained = everythingIsOut && UnderWayBytes == 0 && _spool.Records == 0;
        if (!drained && nowMs < _drainUntilMs)
        {
            effects.WakeAtMs = Math.Min(effects.WakeAtMs, _drainUntilMs);
            return;
        }
        // The last word about what is held and what was dropped goes before the goodbye.
        if (!_lastReportOut && _reports?.Next(nowMs, _liveFrom, last: true) is { } report)
        {
            _lastReportOut = true;
            effects.Send = report;
            return;
        }
        effects.Send = new AgentMessage { Goodbye = new Goodbye { Reason = "stop", Drained = drained } };
        End(effects, "stopped");
    }

    private void End(StreamEffects effects, string reason)
    {
        _over = true;
        effects.End = reason;
    }

    /// <summary>Sends the next batch of the live segments or of the backlog. True when nothing of them is left to send; <paramref name="waits"/>: the window is full.</summary>
    private bool TrySend(bool live, StreamEffects effects, out bool waits)
    {
        waits = false;
        foreach (SpooledSegment segment in _segments)
        {
            if (segment.Id.Number >= _liveFrom != live)
                continue;
            Sending sending = Of(segment.Id);
            if (sending.Complete || sending.LastSent || (sending.Next >= segment.Records && !segment.Closed))
                continue;
            // The backlog never fills the window: what is live finds room at once.
            long room = live ? _windowBytes - UnderWayBytes : Math.Min(_windowBytes - UnderWayBytes, _share.Bytes - _backlogUnderWay);
            long waitMs = room > 0 ? Bandwidth?.WaitMs(_nowMs, live) ?? 0 : 0;
            if (room <= 0 || waitMs > 0)
            {
                waits = true;
                if (waitMs > 0)
                    effects.WakeAtMs = Math.Min(effects.WakeAtMs, _nowMs + waitMs);
                return false;
            }
            switch (Batch(segment, sending, (int)Math.Min(Math.Min(_batchBytes, Bandwidth?.BatchBytesMax ?? int.MaxValue), room), effects))
            {
                case BatchOutcome.Gone:
                    continue;
                case BatchOutcome.NothingNow:
                    waits = true;
                    continue;
                default:
                    return false;
            }
        }
        return !waits;
    }

    private enum BatchOutcome
    {
        /// <summary>A batch is in the effects.</summary>
        Sent,
        /// <summary>The spool let the segment go.</summary>
        Gone,
        /// <summary>It is there, but cannot be read just now.</summary>
        NothingNow,
    }

    private BatchOutcome Batch(SpooledSegment segment, Sending sending, int maxBytes, StreamEffects effects)
    {
        _payloads.Clear();
        if (sending.Next < segment.Records)
        {
            if (!_spool.TryRead(segment.Id, sending.Next, maxBytes, _payloads))
            {
                // By its bounds, or the file is damaged: it has counted that itself.
                sending.LastSent = true;
                return BatchOutcome.Gone;
            }
            if (_payloads.Count == 0)
                return BatchOutcome.NothingNow;
        }
        var batch = new RecordBatch { Segment = Wire(segment.Id), FirstRecord = sending.Next };
        int bytes = 0;
        foreach (ReadOnlyMemory<byte> payload in _payloads)
        {
            // The payload's owner is the message from here on: no copy.
            batch.Records.Add(UnsafeByteOperations.UnsafeWrap(payload));
            bytes += payload.Length;
        }
        sending.Next += (ulong)_payloads.Count;
        batch.Last = segment.Closed && sending.Next >= segment.Records;
        sending.LastSent = batch.Last;
        sending.UnderWay.Enqueue(new SentBatch(sending.Next, batch.Last, bytes, _nowMs));
        UnderWayBytes += bytes;
        if (segment.Id.Number < _liveFrom)
            _backlogUnderWay += bytes;
        Bandwidth?.Spend(bytes);
        RecordsSent += _payloads.Count;
        BytesSent += bytes;
        effects.Send = new AgentMessage { Records = batch };
        return BatchOutcome.Sent;
    }

    private AgentMessage Watermark(long nowMs, long promised) => new()
    {
        Watermark = new Watermark { UnixMs = promised, ClockUnixMs = nowMs, SpoolBytes = (ulong)Math.Max(0, _spool.Bytes), SpoolRecords = (ulong)Math.Max(0, _spool.Records), OldestUnixMs = _spool.OldestMs },
    };

    /// <summary>Forgets segments that the spool has freed; a session may last for months.</summary>
    private void Prune()
    {
        if (_sending.Count <= (_segments.Count * 2) + 16)
            return;
        var kept = new HashSet<SegmentRef>(_segments.Count);
        foreach (SpooledSegment segment in _segments)
            kept.Add(segment.Id);
        foreach ((SegmentRef id, Sending sending) in _sending)
        {
            if (kept.Contains(id))
                continue;
            Forget(id, sending);
            _sending.Remove(id);
        }
    }

    private Sending Of(SegmentRef id)
    {
        if (!_sending.TryGetValue(id, out Sending? sending))
            _sending.Add(id, sending = new Sending());
        return sending;
    }

    private static SegmentId Wire(SegmentRef id) => new() { Epoch = id.Epoch, Number = id.Number, Nonce = id.Nonce };

    private static SegmentRef Ref(SegmentId id) => new(id.Epoch, id.Number, id.Nonce);
}
