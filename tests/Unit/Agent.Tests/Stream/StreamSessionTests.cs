using Bellwether.Agent.Stream;
using Bellwether.V1;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>The agent's end of a session, step by step.</summary>
public sealed class StreamSessionTests
{
    private readonly ListSpool _spool = new(new Random(1));
    private readonly SetWatermark _watermark = new();
    private readonly StreamEffects _effects = new();
    private readonly StreamSession _session;

    public StreamSessionTests() => _session = new StreamSession(new StreamIdentity { AgentId = "a", Version = "1", ProcessId = "p" }, _spool, _watermark);

    [Fact]
    public void Live_records_go_before_the_backlog_even_when_they_come_later()
    {
        _spool.Append([1]);
        _spool.Append([2]);
        Greet();
        _spool.Append([3]);
        Assert.Equal([3], Next().Records.Records.Single().ToByteArray());
        Assert.Equal(AgentMessage.KindOneofCase.Watermark, Next().KindCase);
        Assert.Equal([1, 2], Next().Records.Records.Select(r => r[0]));
        _spool.Append([4]);
        Assert.Equal([4], Next().Records.Records.Single().ToByteArray());
    }

    [Fact]
    public void No_watermark_goes_before_the_live_records_it_speaks_of()
    {
        Greet(window: 10);
        _spool.Append(new byte[10]);
        _spool.Append(new byte[10]);
        _watermark.PromisedMs = 77;
        SegmentId segment = Next().Records.Segment;
        Step(new StreamEvent(StreamEventKind.Writable));
        Assert.Null(_effects.Send);
        Receive(Held(segment, 1));
        Assert.Equal(AgentMessage.KindOneofCase.Records, _effects.Send!.KindCase);
        Assert.Equal(77, Next().Watermark.UnixMs);
    }

    [Fact]
    public void What_is_held_already_is_not_sent_again_unless_it_is_asked_for()
    {
        _spool.Append([1]);
        _spool.Append([2]);
        _spool.Append([3]);
        SegmentId id = Open().Hello.OpenSegments.Single();
        var answer = new HelloAnswer { StoreId = "s" };
        answer.Held.Add(new SegmentHeld { Segment = id, Records = 2 });
        Receive(new AggregatorMessage { Hello = answer });
        AgentMessage batch = _effects.Send!.KindCase == AgentMessage.KindOneofCase.Records ? _effects.Send : Next();
        Assert.Equal((2UL, true, 3), (batch.Records.FirstRecord, batch.Records.Last, batch.Records.Records.Single()[0]));
        Receive(new AggregatorMessage { Control = new Control { Resend = new Resend { Segment = id } } });
        Assert.Equal((0UL, 3), (_effects.Send!.Records.FirstRecord, _effects.Send.Records.Records.Count));
    }

    [Fact]
    public void A_segment_that_was_asked_for_starts_at_its_first_record_although_parts_are_held()
    {
        _spool.Append([1]);
        _spool.Append([2]);
        SegmentId id = Open().Hello.OpenSegments.Single();
        Receive(new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", WindowBytes = 10 } });
        _spool.Append(new byte[10]);
        SegmentId live = NextRecords().Records.Segment;
        // The window is full: the request waits, and an acknowledgement of what is held must not undo it.
        Receive(new AggregatorMessage { Control = new Control { Resend = new Resend { Segment = id } } });
        Receive(Held(id, 1));
        Receive(Held(live, 1));
        AgentMessage batch = _effects.Send!.KindCase == AgentMessage.KindOneofCase.Records ? _effects.Send : NextRecords();
        Assert.Equal((id, 0UL, 2), (batch.Records.Segment, batch.Records.FirstRecord, batch.Records.Records.Count));
    }

    [Fact]
    public void A_segment_is_freed_only_when_it_is_wholly_held()
    {
        _spool.Append([1]);
        Greet();
        AgentMessage batch = NextRecords();
        Receive(Held(batch.Records.Segment, 1));
        Assert.DoesNotContain(_spool.Freed, f => f.Complete);
        Receive(Held(batch.Records.Segment, 1, complete: true));
        Assert.Contains(_spool.Freed, f => f.Complete);
        Assert.Equal(0, _session.UnderWayBytes);
    }

    [Fact]
    public void A_segment_whose_acknowledgement_was_lost_is_sent_again_when_the_number_of_its_records_is_not_known_any_more()
    {
        _spool.Append([1]);
        _spool.Append([2]);
        SegmentId id = Open().Hello.OpenSegments.Single();
        var answer = new HelloAnswer { StoreId = "s" };
        answer.Held.Add(new SegmentHeld { Segment = id, Records = 0, Complete = true });
        Receive(new AggregatorMessage { Hello = answer });
        AgentMessage batch = _effects.Send!.KindCase == AgentMessage.KindOneofCase.Records ? _effects.Send : NextRecords();
        Assert.Equal((id, 0UL, 2, true), (batch.Records.Segment, batch.Records.FirstRecord, batch.Records.Records.Count, batch.Records.Last));
        Receive(Held(id, 2, complete: true));
        Assert.Contains(_spool.Freed, f => f is { Records: 2, Complete: true });
        Assert.Equal(0, _session.UnderWayBytes);
        Assert.Equal(0, _spool.Records);
    }

    [Fact]
    public void Start_segment_closes_the_live_one()
    {
        Greet();
        _spool.Append([1]);
        ulong first = NextRecords().Records.Segment.Number;
        Receive(new AggregatorMessage { Control = new Control { StartSegment = new StartSegment() } });
        Assert.True(_effects.Send!.Records.Last);
        _spool.Append([2]);
        Assert.Equal(first + 1, NextRecords().Records.Segment.Number);
    }

    [Fact]
    public void A_refusal_is_counted_and_told()
    {
        Greet();
        var ack = new Acknowledgement();
        ack.Refused.Add(new RecordRefused { Segment = new SegmentId { Number = 4 }, Record = 2, Reason = "too long" });
        Receive(new AggregatorMessage { Ack = ack });
        Assert.Equal(1, _session.RecordsRefused);
        Assert.Equal("segment 4, record 2: too long", _session.LastRefusal);
    }

    [Fact]
    public void Stopping_waits_for_acknowledgements_and_then_says_goodbye()
    {
        Greet();
        _spool.Append([1]);
        Step(new StreamEvent(StreamEventKind.Stop, DrainUntilMs: 5_000));
        RecordBatch batch = _effects.Send!.Records;
        Assert.True(batch.Last);
        Step(new StreamEvent(StreamEventKind.Writable));
        Assert.Null(_effects.End);
        Receive(Held(batch.Segment, 1, complete: true));
        AgentMessage last = _effects.End is null ? Next() : _effects.Send!;
        Assert.True(last.Goodbye.Drained);
        Assert.NotNull(_effects.End);
    }

    [Fact]
    public void Stopping_does_not_wait_longer_than_it_may()
    {
        Greet();
        _spool.Append([1]);
        Step(new StreamEvent(StreamEventKind.Stop, DrainUntilMs: 5_000));
        _session.Step(5_000, new StreamEvent(StreamEventKind.Writable), _effects);
        if (_effects.End is null)
            _session.Step(5_000, new StreamEvent(StreamEventKind.Writable), _effects);
        Assert.False(_effects.Send!.Goodbye.Drained);
        Assert.NotNull(_effects.End);
    }

    [Fact]
    public void The_clock_offset_is_measured_in_the_middle_of_the_round_trip()
    {
        _session.Step(1_000, new StreamEvent(StreamEventKind.Opened), _effects);
        _session.Step(1_200, new StreamEvent(StreamEventKind.Received, new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", ClockUnixMs = 4_100 } }), _effects);
        Assert.Equal(3_000, _session.ClockOffsetMs);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_aggregator_that_breaks_the_order_ends_the_session(bool early)
    {
        Open();
        if (early)
        {
            Receive(new AggregatorMessage { Ack = new Acknowledgement() });
        }
        else
        {
            Receive(new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s" } });
            Receive(new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s" } });
        }
        Assert.NotNull(_effects.End);
    }

    [Fact]
    public void A_message_of_a_kind_that_is_not_known_yet_is_passed_over()
    {
        Greet();
        Receive(new AggregatorMessage());
        Assert.Null(_effects.End);
    }

    [Fact]
    public void A_session_that_is_not_answered_leaves_the_live_segment_open()
    {
        _spool.Append([1]);
        Open();
        _spool.Append([2]);
        var segments = new List<SpooledSegment>();
        _spool.ListSegments(segments);
        Assert.Equal((2UL, false), (Assert.Single(segments).Records, segments[0].Closed));
        Receive(new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s" } });
        _spool.Append([3]);
        _spool.ListSegments(segments);
        Assert.Equal([true, false], segments.Select(s => s.Closed));
    }

    [Fact]
    public void A_backlog_never_fills_the_window_so_that_live_records_go_at_once()
    {
        for (int i = 0; i < 500; i++)
            _spool.Append(new byte[10]);
        Greet(window: 1000);
        long backlog = 0;
        while (Sends(100) is { } message)
            backlog += message.Records?.Records.Sum(r => r.Length) ?? 0;
        Assert.Equal(750, backlog);
        _spool.Append([7]);
        Assert.Equal(7, Next().Records.Records.Single()[0]);
    }

    [Fact]
    public void Slow_acknowledgements_leave_the_backlog_one_batch_and_fast_ones_give_it_back_its_share()
    {
        var share = new BacklogShare();
        share.Start(1000, 100);
        Assert.Equal(750, share.Bytes);
        share.Acknowledged(0, 1_000, 100);
        Assert.Equal(375, share.Bytes);
        share.Acknowledged(0, 1_001, 100); // of the same way: it counts once
        Assert.Equal(375, share.Bytes);
        for (int i = 1; i < 10; i++)
            share.Acknowledged(0, 1_000 + (i * 500), 100);
        Assert.Equal(100, share.Bytes);
        for (int i = 0; i < 100; i++)
            share.Acknowledged(9_000, 9_010, 100);
        Assert.Equal(750, share.Bytes);
    }

    [Fact]
    public void While_live_records_wait_for_a_limit_the_agent_says_that_it_lives_and_promises_nothing_new()
    {
        var session = new StreamSession(new StreamIdentity { AgentId = "a", Version = "1", ProcessId = "p" }, _spool, _watermark) { Bandwidth = new BandwidthLimit(1_000) };
        _watermark.PromisedMs = 7;
        session.Step(0, new StreamEvent(StreamEventKind.Opened), _effects);
        session.Step(0, new StreamEvent(StreamEventKind.Received, new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", WindowBytes = 1 << 20, WatermarkIntervalMs = 500 } }), _effects);
        Assert.Equal(7, _effects.Send!.Watermark.UnixMs);
        for (int i = 0; i < 300; i++)
            _spool.Append(new byte[100]);
        _watermark.PromisedMs = 8;
        long heardMs = 0;
        int batches = 0;
        for (long now = 10; now < 20_000; now += 10)
        {
            for (session.Step(now, new StreamEvent(StreamEventKind.Writable), _effects); _effects.Send is { } message; session.Step(now, new StreamEvent(StreamEventKind.Writable), _effects))
            {
                batches += message.KindCase == AgentMessage.KindOneofCase.Records ? 1 : 0;
                if (message.KindCase != AgentMessage.KindOneofCase.Watermark)
                    continue;
                Assert.Equal(7, message.Watermark.UnixMs);
                heardMs = now;
            }
            Assert.True(now - heardMs <= 2_000, $"nothing was heard from {heardMs} to {now} ms");
        }
        Assert.InRange(batches, 15, 40);
    }

    [Fact]
    public void Under_a_bandwidth_limit_live_records_go_first_and_no_second_takes_more_than_it_may()
    {
        const int limit = 4_000;
        var session = new StreamSession(new StreamIdentity { AgentId = "a", Version = "1", ProcessId = "p" }, _spool, _watermark) { Bandwidth = new BandwidthLimit(limit) };
        for (int i = 0; i < 2_000; i++)
            _spool.Append(new byte[100]);
        session.Step(0, new StreamEvent(StreamEventKind.Opened), _effects);
        session.Step(0, new StreamEvent(StreamEventKind.Received, new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", WindowBytes = 1 << 20 } }), _effects);
        long sent = 0;
        var waits = new List<long>();
        long appendedMs = -1;
        for (long now = 0; now < 20_000; now += 10)
        {
            if (now % 1_000 == 500)
            {
                _spool.Append([1]);
                appendedMs = now;
            }
            for (session.Step(now, new StreamEvent(StreamEventKind.Writable), _effects); _effects.Send is { } message; session.Step(now, new StreamEvent(StreamEventKind.Writable), _effects))
            {
                if (message.KindCase != AgentMessage.KindOneofCase.Records)
                    continue;
                sent += message.Records.Records.Sum(r => r.Length);
                if (message.Records.Records[0].Length == 1)
                    waits.Add(now - appendedMs);
            }
            Assert.True(sent <= limit + (limit * now / 1000) + 1_000, $"{sent} bytes after {now} ms");
        }
        Assert.True(sent > 18 * limit, $"{sent} bytes");
        Assert.Equal(20, waits.Count);
        Assert.All(waits, w => Assert.InRange(w, 0, 250));
    }

    [Fact]
    public void A_spool_that_was_put_back_goes_on_behind_the_numbers_that_the_aggregator_knows()
    {
        _spool.Append([1]);
        Assert.Equal(2UL, Open().Hello.NextNumber);
        Receive(new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", WindowBytes = 1000, FirstNumber = 5001 } });
        _spool.Append([2]);
        Assert.Equal([1UL, 5001UL], _spool.All.Keys.Select(k => k.Number).Order());
    }

    private AgentMessage? Sends(long nowMs)
    {
        _session.Step(nowMs, new StreamEvent(StreamEventKind.Writable), _effects);
        return _effects.Send;
    }

    private AgentMessage Open()
    {
        Step(new StreamEvent(StreamEventKind.Opened));
        return _effects.Send!;
    }

    /// <summary>Opens and answers; what the answer sets free (a watermark) is taken.</summary>
    private void Greet(uint window = 1000)
    {
        Open();
        _session.Step(0, new StreamEvent(StreamEventKind.Received, new AggregatorMessage { Hello = new HelloAnswer { StoreId = "s", WindowBytes = window, WatermarkIntervalMs = 1 } }), _effects);
        Assert.Null(_effects.End);
    }

    private AgentMessage Next()
    {
        Step(new StreamEvent(StreamEventKind.Writable));
        Assert.NotNull(_effects.Send);
        return _effects.Send;
    }

    private AgentMessage NextRecords()
    {
        AgentMessage message = Next();
        return message.KindCase == AgentMessage.KindOneofCase.Records ? message : Next();
    }

    private static AggregatorMessage Held(SegmentId segment, ulong records, bool complete = false)
    {
        var ack = new Acknowledgement();
        ack.Held.Add(new SegmentHeld { Segment = segment, Records = records, Complete = complete });
        return new AggregatorMessage { Ack = ack };
    }

    private void Receive(AggregatorMessage message) => Step(new StreamEvent(StreamEventKind.Received, message));

    private void Step(StreamEvent happened) => _session.Step(100, happened, _effects);
}
