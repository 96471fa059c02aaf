using System.Diagnostics.Metrics;
using Bellwether.Core.Grpc;
using Bellwether.Ingest;
using Bellwether.Ingest.Completeness;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.V1;
using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Ingest.Completeness;

/// <summary>What sessions tell the fleet's book.</summary>
public sealed class SessionEventTests : IDisposable
{
    private readonly Meter _meter = new("session-events");
    private readonly VirtualTime _time = new();
    private readonly KnownLedger _ledger = new();
    private readonly IngestOptions _options = new();
    private readonly IngestEffects _effects = new();
    private readonly AgentFleet _fleet;

    public SessionEventTests() =>
        _fleet = new AgentFleet(_options, _time, _meter) { Book = new FleetBook(new CompletenessOptions(), _ledger, NullLogger.Instance, [], []) };

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void A_refused_hello_is_an_event_of_the_agent_whose_credential_it_was()
    {
        Greet("agent-1", "agent-1");
        Greet("agent-1", "agent-2");
        Assert.Equal(GrpcStatusCode.PermissionDenied, _effects.End!.Value.Code);
        FleetEvent refused = Agent().Events[^1];
        Assert.Equal(FleetEvents.Refused, refused.Kind);
        Assert.Contains("agent-2", refused.Detail, StringComparison.Ordinal);
        Assert.Single(_fleet.Book!.Agents());
    }

    [Fact]
    public void An_old_epoch_is_refused_at_the_hello_and_noted()
    {
        Greet("agent-1", "agent-1", epoch: 9);
        Greet("agent-1", "agent-1", epoch: 8);
        Assert.Equal(GrpcStatusCode.FailedPrecondition, _effects.End!.Value.Code);
        Assert.Contains("epoch 8 is over", _effects.End.Value.Message, StringComparison.Ordinal);
        Assert.Equal(FleetEvents.Refused, Agent().Events[^1].Kind);
        Greet("agent-1", "agent-1", epoch: 9);
        Assert.Null(_effects.End);
    }

    [Fact]
    public void An_agent_whose_spool_was_put_back_to_an_older_state_goes_on_behind_what_is_here_and_that_is_noted()
    {
        _ledger.Hold("agent-1", 1, (1, 3), (5, 5000));
        var hello = new Hello { AgentId = "agent-1", Epoch = 1, ProcessId = "p1", ClockUnixMs = _time.NowMs, NextNumber = 4000 };
        Send(new IngestSession(_options, new EmptyStore(), _fleet, "agent-1", new FleetSession(_ => { })), new AgentMessage { Hello = hello });
        Assert.Equal(5001UL, _effects.Send[0].Hello.FirstNumber);
        Assert.Equal(FleetEvents.WentBack, Agent().Events[^1].Kind);
        hello.NextNumber = 5001;
        Send(new IngestSession(_options, new EmptyStore(), _fleet, "agent-1", new FleetSession(_ => { })), new AgentMessage { Hello = hello });
        Assert.Equal(0UL, _effects.Send[0].Hello.FirstNumber);
    }

    [Fact]
    public void The_first_segment_that_was_not_announced_is_where_live_data_begin()
    {
        _ledger.Hold("agent-1", 1, (1, 3));
        IngestSession session = Greet("agent-1", "agent-1", 1, 6);
        Send(session, Batch(6));
        Send(session, Batch(7));
        _time.Advance(TimeSpan.FromSeconds(11));
        _fleet.Book!.Step(_time.NowMs);
        LostSegments lost = Assert.Single(Agent().Losses);
        Assert.Equal((4UL, 5UL, MissingReasons.Restored), (lost.First, lost.Last, lost.Reason));
    }

    [Fact]
    public void Watermarks_reports_targets_and_the_goodbye_reach_the_book()
    {
        IngestSession session = Greet("agent-1", "agent-1");
        Send(session, new AgentMessage { Watermark = new Watermark { UnixMs = 1, ClockUnixMs = _time.NowMs, SpoolRecords = 7, SpoolBytes = 70, OldestUnixMs = 5 } });
        var report = new Report { Restart = true, UnixMs = _time.NowMs, Epoch = 1 };
        report.Sources.Add(new SourceReport { Name = "shop", Produced = 100, Buffered = 20, Dropped = { new DroppedSamples { Reason = "size", Samples = 3, FromUnixMs = 1, ToUnixMs = 2 } } });
        Send(session, new AgentMessage { Report = report });
        Send(session, new AgentMessage { Targets = new Targets { Restart = true, Changed = { new Target { Name = "shop", Labels = { ["job"] = "shop" } } } } });
        AgentFacts agent = Agent();
        Assert.Equal((7, 5, 100, 3), (agent.SpoolRecords, agent.SpoolOldestMs, agent.Reported[0].Produced, agent.Dropped));
        Assert.Equal("shop", agent.Targets["shop"]["job"]);
        Send(session, new AgentMessage { Goodbye = new Goodbye { Reason = "stop", Drained = true } });
        Assert.Equal(AgentPresence.Stopped, Agent().Presence);
    }

    private AgentFacts Agent() => _fleet.Book!.Agents().Single(a => a.Id == "agent-1");

    private IngestSession Greet(string identity, string agent, ulong epoch = 1, params ulong[] announced)
    {
        var session = new IngestSession(_options, new EmptyStore(), _fleet, identity, new FleetSession(_ => { }));
        var hello = new Hello { AgentId = agent, Epoch = epoch, ProcessId = "p1", ClockUnixMs = _time.NowMs };
        hello.OpenSegments.AddRange(announced.Select(n => new SegmentId { Epoch = epoch, Number = n, Nonce = 7 }));
        Send(session, new AgentMessage { Hello = hello });
        return session;
    }

    private void Send(IngestSession session, AgentMessage message) => session.Received(_time.NowMs, message, _effects);

    private static AgentMessage Batch(ulong number)
    {
        var batch = new RecordBatch { Segment = new SegmentId { Epoch = 1, Number = number, Nonce = 7 } };
        batch.Records.Add(ByteString.CopyFromUtf8("a"));
        return new AgentMessage { Records = batch };
    }

    private sealed class EmptyStore : IRecordStore
    {
        public string StoreId => "store-7";

        public SegmentProgress HeldOf(SegmentKey segment) => new(segment, 0, false, true);

        public ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation) => throw new InvalidOperationException("the session never calls the store itself");
    }
}
