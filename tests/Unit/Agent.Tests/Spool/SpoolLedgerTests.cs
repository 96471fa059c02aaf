using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json.Nodes;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.V1;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>produced = acknowledged + buffered + dropped(reason), by source, at every moment and over every restart.</summary>
public sealed class SpoolLedgerTests : IDisposable
{
    private const int NotPermitted = 13;
    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly Clock _clock = new();
    private readonly Dictionary<string, (SourceTable Table, SourceTick Tick)> _sources = [];
    private readonly Dictionary<string, long> _produced = [];
    private readonly Dictionary<string, long> _acknowledged = [];
    private int _value;

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Random_acknowledgements_and_kills_leave_every_sample_counted_once()
    {
        var random = new Random(5);
        var options = new SpoolOptions { BytesMax = 48 << 10, SegmentBytes = 4 << 10, AgeMax = TimeSpan.FromMinutes(2) };
        LogSpool spool = Open(options);
        for (int round = 0; round < 600; round++)
        {
            for (int i = random.Next(1, 6); i > 0; i--)
                Append(spool, "s" + random.Next(3));
            Assert.Equal(Core.Durable.LogSync.Durable, spool.Sync());
            if (random.Next(3) == 0)
                AcknowledgeSome(spool, random);
            if (random.Next(25) == 0)
            {
                _disk.Crash(random.Next(2) == 0);
                spool = Open(options);
            }
            Check(spool);
        }
        Assert.Contains(spool.Statistics.Dropped, d => d.Reason == SpoolDropReasons.Size);
        spool.Dispose();
    }

    [Fact]
    public void A_spool_that_refuses_what_is_new_keeps_what_it_has_and_counts_the_rest()
    {
        var options = new SpoolOptions { BytesMax = 32 << 10, SegmentBytes = 4 << 10, WhenFull = SpoolPolicy.RefuseNew };
        LogSpool spool = Open(options);
        SpoolAppend outcome = SpoolAppend.Appended;
        int appended = 0;
        while (outcome == SpoolAppend.Appended)
        {
            outcome = Append(spool, "s");
            spool.Sync();
            appended++;
        }
        Assert.Equal(SpoolAppend.Refused, outcome);
        Assert.True(appended > 20);
        _clock.Advance(TimeSpan.FromSeconds(2));
        for (int i = 0; i < 10; i++)
            Assert.Equal(SpoolAppend.Refused, Append(spool, "s"));
        spool.Sync();
        Check(spool);
        Assert.All(spool.Statistics.Dropped, d => Assert.Equal(SpoolDropReasons.Refused, d.Reason));
        _disk.Crash(onlyProcess: true);
        spool = Open(options);
        Check(spool);
        List<SpooledSegment> segments = List(spool);
        Acknowledge(spool, segments[0], segments[0].Records);
        Acknowledge(spool, segments[1], segments[1].Records);
        Assert.Equal(SpoolAppend.Appended, Append(spool, "s"));
        spool.Sync();
        Check(spool);
        spool.Dispose();
    }

    [Fact]
    public void What_follows_a_refused_tick_has_its_right_values()
    {
        var options = new SpoolOptions { BytesMax = 32 << 10, SegmentBytes = 4 << 10, WhenFull = SpoolPolicy.RefuseNew };
        using LogSpool spool = Open(options);
        SourceTable table = new("s", 10);
        table.Add(Labels.Of(LabelNames.MetricName, "m"));
        table.Add(Labels.Of(LabelNames.MetricName, "n"));
        var tick = new SourceTick();
        var values = new Dictionary<long, double>();
        var decoded = new Dictionary<long, double>();
        for (int i = 0, refused = 0; refused < 20; i++)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(7));
            long timeMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
            tick.Begin(table, timeMs);
            tick.Set(0, i / 3); // the same as before, mostly
            tick.Set(1, i * 0.37);
            tick.Complete();
            if (spool.Append(tick) == SpoolAppend.Appended)
                values[timeMs] = i / 3;
            else if (++refused > 0)
                FreeOldest(spool, decoded);
            spool.Sync();
        }
        while (List(spool).Count > 0)
        {
            spool.StartSegment();
            FreeOldest(spool, decoded);
        }
        Assert.Equal(values, decoded);
    }

    private static void FreeOldest(LogSpool spool, Dictionary<long, double> decoded)
    {
        SpooledSegment oldest = List(spool)[0];
        List<ReadOnlyMemory<byte>> read = [];
        while ((ulong)read.Count < oldest.Records)
            Assert.True(spool.TryRead(oldest.Id, (ulong)read.Count, 1 << 20, read));
        if (!oldest.Closed)
            return;
        var decoder = new SegmentDecoder();
        foreach (ReadOnlyMemory<byte> record in read)
        {
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(record.Span));
            decoded.Add(decoder.Tick.TimestampMs, decoder.Tick.Values[0]);
        }
        spool.Acknowledge(oldest.Id, oldest.Records, complete: true);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_dropped_after_it_was_sent_and_arrived_was_not_lost(bool restart)
    {
        var options = new SpoolOptions { BytesMax = 48 << 10, SegmentBytes = 4 << 10 };
        LogSpool spool = Open(options);
        for (int i = 0; i < 5; i++)
            Append(spool, "s");
        spool.StartSegment();
        spool.Sync();
        SpooledSegment first = List(spool)[0];
        Assert.True(spool.TryRead(first.Id, 0, 1 << 20, []));
        long samples = Ledger(spool).Buffered.Samples;
        while (List(spool)[0].Id == first.Id)
        {
            Append(spool, "s");
            spool.Sync();
        }
        Assert.Equal(samples, Ledger(spool).Dropped.Sum(d => d.Value.Samples));
        if (restart)
        {
            _disk.Crash(onlyProcess: true);
            spool = Open(options);
        }
        var dropped = new List<SegmentRef>();
        spool.ListDropped(dropped);
        Assert.Contains(first.Id, dropped);
        // The aggregator has two of its records; told again it changes nothing.
        spool.Acknowledge(first.Id, 2, complete: false);
        spool.Acknowledge(first.Id, 2, complete: false);
        Assert.Equal(samples / 5 * 3, Ledger(spool).Dropped.Sum(d => d.Value.Samples));
        spool.Acknowledge(first.Id, 5, complete: true);
        Assert.Empty(Ledger(spool).Dropped);
        // The counter, which must not fall, still says what was dropped.
        Assert.Equal(samples, spool.Statistics.Dropped.Sum(d => d.Samples));
        spool.ListDropped(dropped);
        Assert.DoesNotContain(first.Id, dropped);
        spool.Dispose();
    }

    [Fact]
    public void A_segment_that_was_never_read_is_not_asked_for_when_it_is_dropped()
    {
        var options = new SpoolOptions { BytesMax = 48 << 10, SegmentBytes = 4 << 10 };
        using LogSpool spool = Open(options);
        while (spool.Statistics.Dropped.Count == 0)
        {
            Append(spool, "s");
            spool.Sync();
        }
        var dropped = new List<SegmentRef>();
        spool.ListDropped(dropped);
        Assert.Empty(dropped);
    }

    private static SourceLedger Ledger(LogSpool spool)
    {
        var all = new List<SourceLedger>();
        spool.ListLedger(all);
        return Assert.Single(all);
    }

    [Fact]
    public void A_planned_stop_leaves_its_marker_and_a_kill_does_not()
    {
        var options = new SpoolOptions();
        LogSpool spool = Open(options);
        Assert.False(spool.Previous.Known);
        Append(spool, "s");
        spool.MarkStop();
        long stoppedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        _clock.Advance(TimeSpan.FromSeconds(30));
        spool.Dispose();
        spool = Open(options);
        Assert.Equal(new PreviousEnd(true, true, stoppedMs), spool.Previous);
        long newest = _clock.GetUtcNow().ToUnixTimeMilliseconds() + 7;
        Append(spool, "s");
        spool.Sync();
        _disk.Crash();
        spool = Open(options);
        Assert.Equal(new PreviousEnd(true, false, newest), spool.Previous);
        spool.Dispose();
    }

    [Fact]
    public void A_state_from_before_segments_had_their_places_keeps_epoch_stop_and_counts()
    {
        var options = new SpoolOptions { SegmentBytes = 4 << 10 };
        LogSpool spool = Open(options);
        for (int i = 0; i < 400; i++)
            Append(spool, "s");
        spool.Sync();
        List<SpooledSegment> segments = List(spool);
        Assert.True(segments.Count > 3);
        Acknowledge(spool, segments[0], segments[0].Records);
        Acknowledge(spool, segments[1], segments[1].Records);
        spool.MarkStop();
        ulong epoch = segments[0].Id.Epoch;
        spool.Dispose();

        Assert.Equal(AtomicFileOutcome.Read, AtomicFile.TryRead(_disk, "/spool/state", 1 << 20, out byte[] content));
        JsonObject state = JsonNode.Parse(content)!.AsObject();
        Assert.NotEmpty(state["acknowledged"]!.AsArray());
        foreach (JsonNode? segment in state["acknowledged"]!.AsArray())
            Assert.True(segment!.AsObject().Remove("first") && segment.AsObject().Remove("end"));
        foreach (JsonNode? source in state["sources"]!.AsArray())
            Assert.True(source!.AsObject().Remove("acknowledged"));
        AtomicFile.Write(_disk, "/spool/state", Encoding.UTF8.GetBytes(state.ToJsonString()));

        spool = Open(options);
        Assert.True(spool.Previous is { Known: true, Planned: true });
        Assert.All(List(spool), s => Assert.Equal(epoch, s.Id.Epoch));
        Check(spool);
        Append(spool, "s");
        spool.Sync();
        Assert.Equal(epoch, List(spool)[^1].Id.Epoch);
        spool.Dispose();
    }

    [Fact]
    public void A_state_that_only_this_process_may_not_read_is_not_taken_for_lost()
    {
        LogSpool spool = Open(new SpoolOptions());
        Append(spool, "s");
        spool.Sync();
        ulong epoch = List(spool)[0].Id.Epoch;
        spool.Dispose();
        (_disk.Fault, _disk.FaultError) = ((_, path) => path == "/spool/state", NotPermitted);
        Assert.Throws<IOException>(() => Open(new SpoolOptions()));
        _disk.Fault = null;
        spool = Open(new SpoolOptions());
        Assert.Equal(epoch, List(spool)[0].Id.Epoch);
        spool.Dispose();
    }

    [Fact]
    public void Reports_are_whole_at_first_then_what_changed_and_at_once_when_something_was_dropped()
    {
        LogSpool spool = Open(new SpoolOptions { BytesMax = 32 << 10, SegmentBytes = 4 << 10 });
        Append(spool, "a");
        Append(spool, "b");
        spool.Sync();
        var teller = new ReportTeller(spool);
        Report first = teller.Next(1_000, 0, last: false)!.Report;
        Assert.True(first.Restart);
        Assert.NotNull(first.PreviousRun);
        Assert.Equal(["a", "b"], first.Sources.Select(s => s.Name).Order());
        Assert.All(first.Sources, s => Assert.Equal(s.Produced, s.Buffered));
        Assert.Null(teller.Next(1_001, 0, last: false));
        Append(spool, "a");
        spool.Sync();
        Assert.Null(teller.Next(2_500, 0, last: false));
        Report second = teller.Next(16_001, 0, last: false)!.Report;
        Assert.False(second.Restart);
        Assert.Equal("a", Assert.Single(second.Sources).Name);
        while (spool.DroppedSamples == 0)
            Append(spool, "a");
        Report third = teller.Next(17_100, 0, last: false)!.Report;
        Assert.Contains(third.Sources, s => s.Dropped.Any(d => d.Reason == "size" && d.Samples > 0 && d.FromUnixMs > 0));
        Assert.Equal(["live", "backlog"], third.Buffered.Select(b => b.Class));
        spool.Dispose();
    }

    [Fact]
    public void The_report_of_a_bundle_has_each_source_once_while_they_count_on()
    {
        var report = ReportTeller.Whole(new CountingLedger(2 * ReportTeller.SourcesPerMessage), 1_000, new HashSet<SegmentRef>());
        Assert.Equal(2 * ReportTeller.SourcesPerMessage, report.Sources.Count);
        Assert.Equal(report.Sources.Count, report.Sources.Select(s => s.Name).Distinct().Count());
    }

    /// <summary>Each look finds more.</summary>
    private sealed class CountingLedger(int sources) : ISpoolLedger
    {
        private long _looks;

        public ulong Epoch => 1;

        public PreviousEnd Previous => default;

        public long DroppedSamples => 0;

        public void ListLedger(List<SourceLedger> into, IReadOnlySet<SegmentRef>? carried = null)
        {
            into.Clear();
            _looks++;
            into.AddRange(Enumerable.Range(0, sources).Select(i => new SourceLedger($"s{i}", _looks, _looks, default, [])));
        }

        public void ListBuffered(ulong liveFrom, List<SpooledClass> into, IReadOnlySet<SegmentRef>? carried = null) => into.Clear();
    }

    private LogSpool Open(SpoolOptions options) => LogSpool.Open(_disk, "/spool", options, _clock, new Random(2), _meter);

    private static List<SpooledSegment> List(LogSpool spool)
    {
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        return segments;
    }

    private SpoolAppend Append(LogSpool spool, string source)
    {
        if (!_sources.TryGetValue(source, out (SourceTable Table, SourceTick Tick) of))
        {
            of = (new SourceTable(source, 1000), new SourceTick());
            for (int i = 0; i < 20; i++)
                of.Table.Add(Labels.Of(LabelNames.MetricName, "m" + i, "source", source));
            _sources[source] = of;
        }
        _clock.Advance(TimeSpan.FromMilliseconds(7));
        of.Tick.Begin(of.Table, _clock.GetUtcNow().ToUnixTimeMilliseconds());
        for (int i = 0; i < 20; i++)
            of.Tick.Set(i, ++_value * 0.37 * i);
        of.Tick.Complete();
        _produced[source] = _produced.GetValueOrDefault(source) + 20;
        return spool.Append(of.Tick);
    }

    private void AcknowledgeSome(LogSpool spool, Random random)
    {
        List<SpooledSegment> segments = List(spool);
        SpooledSegment segment = segments[random.Next(segments.Count)];
        Acknowledge(spool, segment, (ulong)random.NextInt64((long)segment.Records + 1));
    }

    private readonly Dictionary<SegmentRef, ulong> _held = [];

    private void Acknowledge(LogSpool spool, SpooledSegment segment, ulong records)
    {
        ulong from = _held.GetValueOrDefault(segment.Id);
        if (records < from)
            records = from;
        List<ReadOnlyMemory<byte>> read = [];
        while ((ulong)read.Count < segment.Records)
            Assert.True(spool.TryRead(segment.Id, (ulong)read.Count, 1 << 20, read));
        var names = new Dictionary<int, string>();
        for (int i = 0; i < (int)records; i++)
        {
            RecordHeader.TryRead(read[i].Span, CodecLimits.Default, out RecordHeader header);
            if (header.NewName is { } name)
                names[header.Source] = name;
            if ((ulong)i >= from)
                _acknowledged[names[header.Source]] = _acknowledged.GetValueOrDefault(names[header.Source]) + header.Samples;
        }
        _held[segment.Id] = records;
        spool.Acknowledge(segment.Id, records, segment.Closed && records == segment.Records);
    }

    private void Check(LogSpool spool)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        // After a kill the agent may hold again what was acknowledged since the state was written: the aggregator's answer to the hello tells it.
        foreach (SpooledSegment segment in List(spool))
            spool.Acknowledge(segment.Id, _held.GetValueOrDefault(segment.Id), false);
        spool.ListLedger(ledger);
        foreach (SourceLedger source in ledger)
        {
            Assert.Equal(_produced[source.Name], source.Produced);
            Assert.Equal(source.Produced, _acknowledged.GetValueOrDefault(source.Name) + source.Buffered.Samples + source.Dropped.Sum(d => d.Value.Samples));
        }
    }

    private sealed class Clock : TimeProvider
    {
        private DateTimeOffset _now = DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_000);

        public void Advance(TimeSpan by) => _now += by;

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
