using System.Diagnostics.Metrics;
using Bellwether.Core.Grpc;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Aggregator.Tests.Ingest;

/// <summary>The aggregator's end of a session, step by step.</summary>
public sealed class IngestSessionTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly VirtualTime _time = new();
    private readonly IngestOptions _options = new();
    private readonly KnownStore _store = new();
    private readonly IngestEffects _effects = new();
    private readonly AgentFleet _fleet;

    public IngestSessionTests() => _fleet = new AgentFleet(_options, _time, _meter);

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Of_segments_that_the_agent_has_dropped_it_is_told_what_is_held()
    {
        _store.Held[Key(1)] = new SegmentProgress(Key(1), 5, Complete: false, Resumable: false);
        AgentMessage hello = Hello("agent-1", 3);
        hello.Hello.DroppedSegments.Add(hello.Hello.OpenSegments[0].Clone());
        hello.Hello.DroppedSegments[0].Number = 1;
        Send(Session(), hello);
        // Nothing of it is asked for again: the agent does not have it.
        HelloAnswer answer = Assert.Single(_effects.Send).Hello;
        Assert.Equal([(3UL, 0UL), (1UL, 5UL)], answer.Held.Select(h => (h.Segment.Number, h.Records)));
    }

    [Fact]
    public void A_hello_is_answered_with_what_is_held_and_what_to_keep_to()
    {
        _store.Held[Key(1)] = new SegmentProgress(Key(1), 5, Complete: false, Resumable: true);
        _store.Held[Key(2)] = new SegmentProgress(Key(2), 9, Complete: true, Resumable: true);
        IngestSession session = Session();
        Send(session, Hello("agent-1", 1, 2, 3));
        HelloAnswer answer = Assert.Single(_effects.Send).Hello;
        Assert.Equal("store-7", answer.StoreId);
        Assert.Equal([(1UL, 5UL, false), (2UL, 9UL, true), (3UL, 0UL, false)], answer.Held.Select(h => (h.Segment.Number, h.Records, h.Complete)));
        Assert.Equal((uint)_options.WindowBytes, answer.WindowBytes);
        Assert.Equal(_time.NowMs, answer.ClockUnixMs);
    }

    [Fact]
    public void A_segment_whose_decoder_is_gone_is_asked_for_again_with_the_hello()
    {
        _store.Held[Key(1)] = new SegmentProgress(Key(1), 5, Complete: false, Resumable: false);
        Send(Session(), Hello("agent-1", 1));
        Assert.Equal(2, _effects.Send.Count);
        Assert.Equal(1UL, _effects.Send[1].Control.Resend.Segment.Number);
    }

    [Theory]
    [InlineData("agent-2", GrpcStatusCode.PermissionDenied)]
    [InlineData("", GrpcStatusCode.InvalidArgument)]
    [InlineData("*", GrpcStatusCode.InvalidArgument)]
    [InlineData("agent 1", GrpcStatusCode.InvalidArgument)]
    [InlineData("agent-\u00e9", GrpcStatusCode.InvalidArgument)]
    public void A_hello_that_says_another_name_than_its_credential_is_refused(string agent, GrpcStatusCode expected)
    {
        Send(Session(), Hello(agent));
        Assert.Equal(expected, _effects.End!.Value.Code);
        Assert.Empty(_fleet.Agents());
    }

    [Fact]
    public void A_shared_credential_lets_agents_name_themselves()
    {
        Send(Session("*"), Hello("agent-77"));
        Assert.Null(_effects.End);
        Assert.Equal("agent-77", Assert.Single(_fleet.Agents()).Id);
    }

    [Fact]
    public void A_newer_record_format_is_refused_with_both_names()
    {
        AgentMessage hello = Hello("agent-1");
        hello.Hello.Capabilities.Add("format/9");
        Send(Session(), hello);
        Assert.Equal(GrpcStatusCode.FailedPrecondition, _effects.End!.Value.Code);
        Assert.Contains("format/9", _effects.End.Value.Message, StringComparison.Ordinal);
        Assert.Contains("format/1", _effects.End.Value.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Too_many_labels_or_segments_are_refused()
    {
        AgentMessage labels = Hello("agent-1");
        for (int i = 0; i <= _options.MaxLabels; i++)
            labels.Hello.Labels[$"l{i}"] = "v";
        Send(Session(), labels);
        Assert.Equal(GrpcStatusCode.InvalidArgument, _effects.End!.Value.Code);
        AgentMessage segments = Hello("agent-1");
        for (int i = 0; i <= _options.MaxAnnouncedSegments; i++)
            segments.Hello.OpenSegments.Add(Id((ulong)i));
        Send(Session(), segments);
        Assert.Equal(GrpcStatusCode.ResourceExhausted, _effects.End!.Value.Code);
    }

    [Fact]
    public void Records_before_the_hello_and_a_second_hello_end_the_session()
    {
        Send(Session(), Batch(1, 0, "a"));
        Assert.Equal(GrpcStatusCode.InvalidArgument, _effects.End!.Value.Code);
        IngestSession session = Session();
        Send(session, Hello("agent-1"));
        Send(session, Hello("agent-1"));
        Assert.Equal(GrpcStatusCode.InvalidArgument, _effects.End!.Value.Code);
    }

    [Fact]
    public void A_key_begins_with_the_proven_identity_whatever_the_batch_says()
    {
        IngestSession session = Greeted();
        Send(session, Batch(4, 0, "a"));
        Assert.Equal(Key(4), _effects.Apply!.Run.Segment);
    }

    [Fact]
    public void Only_what_is_durable_is_acknowledged_and_poison_is_named()
    {
        IngestSession session = Greeted();
        Send(session, Batch(4, 0, "a", "b"));
        HandedRun run = _effects.Apply!;
        Assert.Empty(_effects.Send);
        session.Applied(run, new RunResult(RunOutcome.Applied, new SegmentProgress(Key(4), 2, false, true), [new RefusedRecord(1, "too long")], [new AppliedTick("shop", 1000, 5, 3)]), _effects);
        Acknowledgement ack = _effects.Send[0].Ack;
        Assert.Equal(2UL, Assert.Single(ack.Held).Records);
        Assert.Equal((1UL, "too long"), (ack.Refused[0].Record, ack.Refused[0].Reason));
        AgentState agent = _fleet.Agents()[0];
        Assert.Equal((2, 1, 3, 5), (agent.Records, agent.Refused, agent.Samples, agent.NewestMs));
    }

    [Fact]
    public void Behind_a_refused_record_a_new_segment_is_asked_for_once_unless_the_segment_is_at_its_end()
    {
        IngestSession session = Greeted();
        Assert.Contains("too long", Refuse(session, 4, 0, last: false)!.Reason, StringComparison.Ordinal);
        Assert.Null(Refuse(session, 4, 1, last: false));
        Assert.Null(Refuse(session, 5, 0, last: true));
        Assert.NotNull(Refuse(session, 6, 0, last: false));
    }

    private StartSegment? Refuse(IngestSession session, ulong segment, ulong first, bool last)
    {
        AgentMessage batch = Batch(segment, first, "a");
        batch.Records.Last = last;
        Send(session, batch);
        session.Applied(_effects.Apply!, new RunResult(RunOutcome.Applied, new SegmentProgress(Key(segment), first + 1, last, true), [new RefusedRecord(first, "too long")], []), _effects);
        return _effects.Send.Select(m => m.Control?.StartSegment).SingleOrDefault(c => c is not null);
    }

    [Fact]
    public void An_agents_ledger_is_kept_with_its_last_numbers_and_begins_anew_when_it_says_so()
    {
        IngestSession session = Greeted();
        Send(session, Report(true, ("shop", 10), ("till", 5)));
        Send(session, Report(false, ("shop", 12)));
        AgentLedger ledger = Assert.Single(_fleet.Ledgers());
        Assert.Equal((12UL, 5UL), (ledger.Sources["shop"].Produced, ledger.Sources["till"].Produced));
        Assert.True(ledger.PreviousRun!.Planned);
        Send(session, Report(true, ("shop", 13)));
        Assert.Equal(["shop"], _fleet.Ledgers()[0].Sources.Keys);
    }

    private static AgentMessage Report(bool restart, params (string Source, ulong Produced)[] sources)
    {
        var report = new Report { Restart = restart, UnixMs = 1, PreviousRun = restart ? new PreviousRun { Known = true, Planned = true } : null };
        report.Sources.AddRange(sources.Select(s => new SourceReport { Name = s.Source, Produced = s.Produced }));
        return new AgentMessage { Report = report };
    }

    [Fact]
    public void Runs_that_fail_together_ask_for_their_segment_once()
    {
        IngestSession session = Greeted();
        var handed = new List<HandedRun>();
        for (ulong i = 0; i < 3; i++)
        {
            Send(session, Batch(4, 5 + i, "a"));
            handed.Add(_effects.Apply!);
        }
        var needsStart = new RunResult(RunOutcome.NeedsStart, new SegmentProgress(Key(4), 0, false, true), [], []);
        session.Applied(handed[0], needsStart, _effects);
        Assert.Equal(4UL, Assert.Single(_effects.Send).Control.Resend.Segment.Number);
        // A batch that was on its way is dropped; the start is handed on; the older failures ask for nothing more.
        Send(session, Batch(4, 8, "a"));
        Assert.Null(_effects.Apply);
        Send(session, Batch(4, 0, "a"));
        Assert.NotNull(_effects.Apply);
        session.Applied(handed[1], needsStart, _effects);
        Assert.Empty(_effects.Send);
        session.Applied(handed[2], needsStart, _effects);
        Assert.Empty(_effects.Send);
        Assert.Equal(1, session.Resends);
    }

    [Fact]
    public void A_batch_of_very_many_records_is_refused()
    {
        IngestSession session = Greeted();
        Send(session, Batch(4, 0, [.. Enumerable.Repeat("", _options.MaxRecordsPerBatch + 1)]));
        Assert.Equal(GrpcStatusCode.ResourceExhausted, _effects.End!.Value.Code);
        Assert.Null(_effects.Apply);
    }

    [Fact]
    public void Segments_without_end_that_begin_in_the_middle_end_the_session()
    {
        IngestSession session = Greeted();
        int asked = 0;
        while (_effects.End is null && asked < 100_000)
        {
            Send(session, Batch((ulong)++asked, 5, "a"));
            session.Applied(_effects.Apply!, new RunResult(RunOutcome.NeedsStart, new SegmentProgress(Key((ulong)asked), 0, false, true), [], []), _effects);
        }
        Assert.Equal(GrpcStatusCode.ResourceExhausted, _effects.End!.Value.Code);
        Assert.Equal(_options.MaxAnnouncedSegments + 1, asked);
    }

    [Fact]
    public void A_full_store_ends_the_session_as_resource_exhausted()
    {
        IngestSession session = Greeted();
        Send(session, Batch(4, 0, "a"));
        session.Applied(_effects.Apply!, new RunResult(RunOutcome.Unavailable, new SegmentProgress(Key(4), 0, false, true), [], [], "the disk is full"), _effects);
        Assert.Equal(new GrpcStatus(GrpcStatusCode.ResourceExhausted, "the disk is full"), _effects.End);
        Assert.Empty(_effects.Send);
    }

    [Fact]
    public void Records_too_far_ahead_of_our_clock_end_the_session_and_what_came_before_them_is_acknowledged()
    {
        IngestSession session = Session();
        AgentMessage hello = Hello("agent-1");
        hello.Hello.ClockUnixMs = _time.NowMs + 3_600_000;
        Send(session, hello);
        Send(session, Batch(4, 0, "a", "b", "c"));
        Assert.Equal(3_600_000, _effects.Apply!.Run.SenderAheadMs);
        session.Applied(_effects.Apply!, new RunResult(RunOutcome.Ahead, new SegmentProgress(Key(4), 2, false, true), [], [new AppliedTick("shop", 1000, 5, 3)], "too far ahead"), _effects);
        Assert.Equal(new GrpcStatus(GrpcStatusCode.ResourceExhausted, "too far ahead"), _effects.End);
        SegmentHeld held = Assert.Single(Assert.Single(_effects.Send).Ack.Held);
        Assert.Equal((2UL, false), (held.Records, held.Complete));
        Assert.Equal(2, Assert.Single(_fleet.Agents()).Records);
    }

    [Fact]
    public void Ticks_of_a_clock_that_was_ahead_do_not_spoil_the_coverage_afterwards()
    {
        IngestSession session = Greeted();
        long ahead = _time.NowMs + 86_400_000;
        Tell([.. Enumerable.Range(0, 400).Select(i => new AppliedTick("shop", 1000, ahead + (i * 1000L), 3))]);
        for (int i = 0; i < 400; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            Tell([new AppliedTick("shop", 1000, _time.NowMs, 3)]);
        }
        AgentState agent = Assert.Single(_fleet.Agents());
        Assert.Equal(_time.NowMs, agent.NewestMs);
        Assert.Equal(1, agent.Coverage);

        void Tell(AppliedTick[] ticks)
        {
            Send(session, Batch(4, 0, "a"));
            session.Applied(_effects.Apply!, new RunResult(RunOutcome.Applied, new SegmentProgress(Key(4), 1, false, true), [], ticks), _effects);
        }
    }

    [Fact]
    public void A_watermark_waits_for_the_runs_before_it()
    {
        IngestSession session = Greeted();
        Send(session, Batch(4, 0, "a"));
        HandedRun run = _effects.Apply!;
        Send(session, Watermark(1000));
        Assert.Equal(0, _fleet.PassedMs);
        session.Applied(run, new RunResult(RunOutcome.Applied, new SegmentProgress(Key(4), 1, false, true), [], []), _effects);
        Assert.Equal(1000, _fleet.PassedMs);
        Send(session, Watermark(900));
        Assert.Equal(1000, _fleet.PassedMs);
        session.Ended();
        Assert.Equal(long.MaxValue, _fleet.PassedMs);
    }

    [Fact]
    public void A_watermark_from_the_future_is_worth_no_more_than_now()
    {
        IngestSession session = Greeted();
        Send(session, Watermark(_time.NowMs + 3_600_000));
        Assert.Equal(_time.NowMs, _fleet.PassedMs);
    }

    [Fact]
    public void Event_time_has_passed_what_the_slowest_connected_agent_passed()
    {
        IngestSession one = Greeted();
        IngestSession two = Session("agent-2");
        Send(two, Hello("agent-2"));
        Send(one, Watermark(2000));
        Send(two, Watermark(1500));
        Assert.Equal(1500, _fleet.PassedMs);
        two.Ended();
        Assert.Equal(2000, _fleet.PassedMs);
    }

    [Fact]
    public void The_clock_offset_is_the_least_delayed_of_the_last_measures()
    {
        IngestSession session = Greeted();
        foreach (long delay in new[] { 900, 20, 400 })
        {
            AgentMessage message = Watermark(1);
            message.Watermark.ClockUnixMs = _time.NowMs + 5000 - delay;
            Send(session, message);
        }
        Assert.Equal(4980, session.ClockOffsetMs);
        Assert.Equal(4980, _fleet.Agents()[0].ClockOffsetMs);
    }

    [Theory]
    [InlineData(-5000, 7, false)]
    [InlineData(-5000, 8, true)]
    [InlineData(-900, 20, false)]
    [InlineData(1001, 1, true)]
    public void A_clock_is_called_late_only_when_several_messages_show_it_and_fast_at_once(int offsetMs, int watermarks, bool off)
    {
        IngestSession session = Session("agent-1");
        AgentMessage hello = Hello("agent-1");
        hello.Hello.ClockUnixMs = _time.NowMs + offsetMs;
        Send(session, hello);
        for (int i = 0; i < watermarks; i++)
        {
            AgentMessage message = Watermark(1);
            message.Watermark.ClockUnixMs = _time.NowMs + offsetMs;
            Send(session, message);
        }
        Assert.Equal(off, session.IsClockOff);
    }

    [Fact]
    public void A_fenced_process_may_come_back_when_the_newer_one_is_gone()
    {
        bool fenced = false;
        var older = new IngestSession(_options, _store, _fleet, "agent-1", new FleetSession(another => fenced = another));
        Send(older, Hello("agent-1"));
        IngestSession newer = Session();
        AgentMessage hello = Hello("agent-1");
        hello.Hello.ProcessId = "p2";
        Send(newer, hello);
        Assert.True(fenced);
        older.Ended();
        Assert.True(_fleet.Agents()[0].Connected);
        Send(Session(), Hello("agent-1"));
        Assert.Equal(GrpcStatusCode.FailedPrecondition, _effects.End!.Value.Code);
        newer.Ended();
        _time.Advance(_options.FenceTime);
        Send(Session(), Hello("agent-1"));
        Assert.Null(_effects.End);
    }

    [Fact]
    public void More_agents_than_the_limit_are_refused_and_known_ones_go_on()
    {
        var fleet = new AgentFleet(_options with { MaxAgents = 1 }, _time, _meter);
        Assert.True(fleet.Register("agent-1", "1", []));
        Assert.True(fleet.Register("agent-1", "2", []));
        Assert.False(fleet.Register("agent-2", "1", []));
    }

    private static SegmentKey Key(ulong number) => new("agent-1", 3, number, 42);

    private static SegmentId Id(ulong number) => new() { Epoch = 3, Number = number, Nonce = 42 };

    private static AgentMessage Batch(ulong number, ulong first, params string[] records)
    {
        var batch = new RecordBatch { Segment = Id(number), FirstRecord = first };
        batch.Records.AddRange(records.Select(ByteString.CopyFromUtf8));
        return new AgentMessage { Records = batch };
    }

    private AgentMessage Watermark(long unixMs) => new() { Watermark = new Watermark { UnixMs = unixMs, ClockUnixMs = _time.NowMs } };

    private AgentMessage Hello(string agent, params ulong[] segments)
    {
        var hello = new Hello { AgentId = agent, Epoch = 3, ProcessId = "p1", ClockUnixMs = _time.NowMs };
        hello.OpenSegments.AddRange(segments.Select(Id));
        return new AgentMessage { Hello = hello };
    }

    private IngestSession Session(string identity = "agent-1") => new(_options, _store, _fleet, identity, new FleetSession(static _ => Assert.Fail("there is nothing to replace")));

    private IngestSession Greeted()
    {
        IngestSession session = Session();
        Send(session, Hello("agent-1"));
        Assert.Null(_effects.End);
        return session;
    }

    private void Send(IngestSession session, AgentMessage message) => session.Received(_time.NowMs, message, _effects);

    private sealed class KnownStore : IRecordStore
    {
        public Dictionary<SegmentKey, SegmentProgress> Held { get; } = [];

        public string StoreId => "store-7";

        public SegmentProgress HeldOf(SegmentKey segment) => Held.GetValueOrDefault(segment, new SegmentProgress(segment, 0, false, true));

        public ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation) => throw new InvalidOperationException("the session never calls the store itself");
    }
}
