using System.Buffers.Binary;
using System.Diagnostics.Metrics;
using Bellwether.Agent.Stream;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>One agent, one aggregator and the link between them, in one thread under a seed.</summary>
internal sealed class Journey : IDisposable
{
    private const int WindowBytes = 600;

    private readonly Random _random;
    private readonly Meter _meter = new("test");
    private readonly IngestOptions _options = new() { MaxBatchBytes = 200, WindowBytes = WindowBytes };
    private readonly SetWatermark _watermark = new();
    private readonly StreamEffects _agentEffects = new();
    private readonly IngestEffects _serverEffects = new();
    private readonly List<(SegmentRef Segment, int Index, long AtMs)> _appended = [];
    private readonly VirtualTime _time = new();
    private AgentFleet _fleet;
    private Link? _link;
    private int _process;
    private ulong _payload;
    private int _freedSeen;
    private long _passedSeen;

    public Journey(int seed)
    {
        _random = new Random(seed);
        Spool = new ListSpool(new Random(seed));
        _fleet = new AgentFleet(_options, _time, _meter);
    }

    public ListSpool Spool { get; }

    public ListStore Store { get; } = new();

    public int Sessions { get; private set; }

    private sealed class Link
    {
        public required StreamSession Agent;
        public required IngestSession Server;
        public readonly Queue<byte[]> Up = new();
        public readonly Queue<byte[]> Down = new();
        public readonly Queue<(HandedRun Handed, RunResult Result)> InStore = new();
    }

    /// <summary>Something that can happen at any time.</summary>
    public void RandomStep()
    {
        _time.Advance(TimeSpan.FromMilliseconds(_random.Next(1, 50)));
        switch (_random.Next(100))
        {
            case < 25:
                Append();
                break;
            case < 45:
                AgentStep(new StreamEvent(StreamEventKind.Writable));
                break;
            case < 60:
                DeliverUp();
                break;
            case < 75:
                FinishInStore();
                break;
            case < 90:
                DeliverDown();
                break;
            case < 92:
                Cut();
                break;
            case 92:
                Cut();
                _process++;
                break;
            case 93:
                Cut();
                Store.LoseDecoders();
                _fleet = new AgentFleet(_options, _time, _meter);
                _passedSeen = 0;
                break;
            case 94:
                Store.Full = !Store.Full;
                break;
            case 95:
                _link?.Down.Enqueue(new AggregatorMessage { Control = new Control { StartSegment = new StartSegment { Reason = "test" } } }.ToByteArray());
                break;
            default:
                Connect();
                break;
        }
        Check();
    }

    /// <summary>All is well from here on: runs until nothing moves any more.</summary>
    public void Settle()
    {
        Store.Full = false;
        for (int i = 0; i < 5_000 && !Settled(); i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(20));
            Connect();
            AgentStep(new StreamEvent(StreamEventKind.Writable));
            DeliverUp();
            FinishInStore();
            DeliverDown();
            Check();
        }
        Assert.True(Settled(), $"not settled: {Spool.Records} records wait");
    }

    /// <summary>The final reckoning: every record, in order, once.</summary>
    public void AssertEverythingArrivedOnce()
    {
        foreach ((SegmentRef id, List<byte[]> records) in Spool.All)
            Assert.Equal(records, Store.AppliedOf(Key(id)));
    }

    public void Dispose() => _meter.Dispose();

    private static SegmentKey Key(SegmentRef id) => new("agent-1", id.Epoch, id.Number, id.Nonce);

    private bool Settled() => Spool.All.All(s => Store.AppliedOf(Key(s.Key)).Count == s.Value.Count) && Spool.Records == 0;

    private void Append()
    {
        byte[] payload = new byte[_random.Next(8, 120)];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, ++_payload);
        Spool.Append(payload);
        (SegmentRef id, List<byte[]> records) = Spool.All.MaxBy(s => s.Key.Number);
        _appended.Add((id, records.Count - 1, _time.NowMs));
        _watermark.PromisedMs = _time.NowMs + 1;
    }

    private void Connect()
    {
        if (_link is not null)
            return;
        Sessions++;
        var identity = new StreamIdentity { AgentId = "agent-1", Version = "1", ProcessId = $"p{_process}" };
        var server = new IngestSession(_options, Store, _fleet, "agent-1", new FleetSession(static _ => throw new InvalidOperationException("the older session had ended: nothing to fence")));
        _link = new Link { Agent = new StreamSession(identity, Spool, _watermark), Server = server };
        AgentStep(new StreamEvent(StreamEventKind.Opened));
    }

    private void Cut()
    {
        _link?.Server.Ended();
        _link = null;
    }

    private void AgentStep(StreamEvent happened)
    {
        if (_link is not { } link)
            return;
        link.Agent.Step(_time.NowMs, happened, _agentEffects);
        Assert.True(link.Agent.UnderWayBytes is >= 0 and <= WindowBytes + 120, $"{link.Agent.UnderWayBytes} bytes are under way");
        if (_agentEffects.Send is { } message)
            link.Up.Enqueue(message.ToByteArray());
        if (_agentEffects.End is not null)
            Cut();
    }

    private void DeliverUp()
    {
        if (_link is not { } link || !link.Up.TryDequeue(out byte[]? bytes))
            return;
        link.Server.Received(_time.NowMs, AgentMessage.Parser.ParseFrom(bytes), _serverEffects);
        Answer(link);
        if (_serverEffects.Apply is { } run)
            link.InStore.Enqueue((run, Store.Apply(run.Run)));
        if (_serverEffects.End is { } end)
        {
            Assert.Fail($"the aggregator refused: {end}");
            Cut();
        }
    }

    private void FinishInStore()
    {
        if (_link is not { } link || !link.InStore.TryDequeue(out (HandedRun Handed, RunResult Result) done))
            return;
        link.Server.Applied(done.Handed, done.Result, _serverEffects);
        Answer(link);
        if (_serverEffects.End is not null)
            Cut();
    }

    private void DeliverDown()
    {
        if (_link is { } link && link.Down.TryDequeue(out byte[]? bytes))
            AgentStep(new StreamEvent(StreamEventKind.Received, AggregatorMessage.Parser.ParseFrom(bytes)));
    }

    private void Answer(Link link)
    {
        foreach (AggregatorMessage message in _serverEffects.Send)
            link.Down.Enqueue(message.ToByteArray());
    }

    private void Check()
    {
        for (; _freedSeen < Spool.Freed.Count; _freedSeen++)
        {
            (SegmentRef id, ulong records, bool complete) = Spool.Freed[_freedSeen];
            int applied = Store.AppliedOf(Key(id)).Count;
            Assert.True(applied >= (int)records, $"{records} records of {id} were freed, {applied} are applied");
            Assert.True(!complete || applied == Spool.All[id].Count, $"{id} was freed whole with {applied} of {Spool.All[id].Count} applied");
        }
        if (_link is not { } link || _fleet.PassedMs == long.MaxValue || _fleet.PassedMs <= _passedSeen)
            return;
        _passedSeen = _fleet.PassedMs;
        foreach ((SegmentRef segment, int index, long atMs) in _appended)
        {
            if (segment.Number >= link.Agent.LiveFrom && atMs < _passedSeen)
                Assert.True(Store.AppliedOf(Key(segment)).Count > index, $"the watermark {_passedSeen} passed a record of {atMs} that is not applied");
        }
    }
}
