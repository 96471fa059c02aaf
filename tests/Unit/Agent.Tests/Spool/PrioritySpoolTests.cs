using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

public sealed class PrioritySpoolTests : IDisposable
{
    private const long BytesMax = 160 << 10;
    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly Dictionary<string, (SourceTable Table, SourceTick Tick)> _sources = [];
    private readonly Dictionary<string, long> _produced = [];
    private long _now = 1_700_000_000_000;

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void The_lowest_priority_gives_way_first_and_a_lower_one_never_takes_from_a_higher()
    {
        PrioritySpool spool = Open(SpoolPolicy.ByPriority);
        Fill(spool, "high", 300);
        Fill(spool, "low", 100);
        Fill(spool, "normal", 2_000);
        Dictionary<string, long> dropped = Check(spool);
        Assert.True(dropped["low"] > 0);
        Assert.Equal(0, dropped["high"]);
        Assert.True(dropped["normal"] > 0);
        Fill(spool, "high", 3_000);
        dropped = Check(spool);
        // All of the lower ones that was closed went before one sample of the highest.
        Assert.True(dropped["high"] > 0);
        long lowHeld = Held(spool, "low");
        Fill(spool, "low", 200);
        Assert.Equal(dropped["high"], Check(spool)["high"]);
        Assert.True(Held(spool, "low") <= lowHeld + (200 * 20));
        Assert.True(spool.Statistics.DiskBytes <= BytesMax, $"{spool.Statistics.DiskBytes} bytes");
        long files = new[] { "/spool", "/spool/low", "/spool/high" }.Sum(f => _disk.List(f + "/log").Where(n => n.Contains('.')).Sum(n => (long)_disk.Content($"{f}/log/{Path.GetFileName(n)}").Length) + _disk.Content(f + "/state").Length);
        Assert.InRange(files, BytesMax / 4, BytesMax);
        _disk.Crash();
        spool = Open(SpoolPolicy.ByPriority);
        Check(spool);
        spool.Dispose();
    }

    [Fact]
    public void The_session_sees_one_spool_the_highest_priority_first_with_names_that_are_unique()
    {
        using PrioritySpool spool = Open(SpoolPolicy.ByPriority);
        foreach (string source in new[] { "low", "normal", "high" })
            Fill(spool, source, 3);
        ulong liveFrom = spool.StartSegment();
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        Assert.Equal(3, segments.Select(s => s.Id.Number).Distinct().Count());
        Assert.All(segments, s => Assert.True(s.Closed && s.Id.Number < liveFrom && s.Id.Epoch == spool.Epoch));
        Assert.Equal(["high", "normal", "low"], segments.Select(s => SourceOf(spool, s)));
        Fill(spool, "low", 1);
        spool.ListSegments(segments);
        Assert.True(segments[^1].Id.Number >= liveFrom);
        foreach (SpooledSegment segment in segments)
            spool.Acknowledge(segment.Id, segment.Records, segment.Closed);
        Assert.Equal(0, spool.Records);
        Check(spool, acknowledged: true);
    }

    [Fact]
    public void What_is_left_of_a_priority_is_still_sent_when_priorities_do_not_count_any_more()
    {
        using (PrioritySpool spool = Open(SpoolPolicy.ByPriority))
        {
            Fill(spool, "low", 5);
            Fill(spool, "high", 5);
        }
        using PrioritySpool again = Open(SpoolPolicy.DropOldest);
        Assert.Equal(10, again.Records);
        Fill(again, "low", 5);
        var segments = new List<SpooledSegment>();
        again.ListSegments(segments);
        Assert.Equal(3, segments.Count);
        Check(again);
    }

    [Fact]
    public void Without_priorities_there_is_one_log_in_the_folder_itself()
    {
        using PrioritySpool spool = Open(SpoolPolicy.DropOldest);
        Fill(spool, "low", 5);
        Assert.False(_disk.Exists("/spool/low/state"));
        Assert.True(_disk.Exists("/spool/state"));
        Fill(spool, "normal", 3_000);
        Assert.True(spool.Statistics.DiskBytes <= BytesMax);
        Check(spool);
    }

    private PrioritySpool Open(SpoolPolicy policy) => PrioritySpool.Open(
        _disk, "/spool", new SpoolOptions { BytesMax = BytesMax, SegmentBytes = 4 << 10, WhenFull = policy }, new Clock(this), new Random(3), _meter,
        source => source == "low" ? SpoolPriority.Low : source == "high" ? SpoolPriority.High : SpoolPriority.Normal);

    private void Fill(PrioritySpool spool, string source, int ticks)
    {
        if (!_sources.TryGetValue(source, out (SourceTable Table, SourceTick Tick) of))
        {
            of = (new SourceTable(source, 1000), new SourceTick());
            for (int i = 0; i < 20; i++)
                of.Table.Add(Labels.Of(LabelNames.MetricName, "m" + i, "source", source));
            _sources[source] = of;
        }
        for (int t = 0; t < ticks; t++)
        {
            of.Tick.Begin(of.Table, ++_now);
            for (int i = 0; i < 20; i++)
                of.Tick.Set(i, _now * 0.37 * i);
            of.Tick.Complete();
            _produced[source] = _produced.GetValueOrDefault(source) + 20;
            spool.Append(of.Tick);
            if (t % 5 == 0)
                Assert.Equal(LogSync.Durable, spool.Sync());
        }
        Assert.Equal(LogSync.Durable, spool.Sync());
    }

    /// <summary>Checks the ledger and gives what was dropped by source.</summary>
    private Dictionary<string, long> Check(PrioritySpool spool, bool acknowledged = false)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        var dropped = new Dictionary<string, long>();
        foreach (SourceLedger source in ledger)
        {
            dropped[source.Name] = source.Dropped.Sum(d => d.Value.Samples);
            Assert.Equal(_produced[source.Name], source.Produced);
            if (!acknowledged)
                Assert.Equal(source.Produced, source.Buffered.Samples + dropped[source.Name]);
        }
        return dropped;
    }

    private static long Held(PrioritySpool spool, string name)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        return ledger.Single(l => l.Name == name).Buffered.Samples;
    }

    private static string SourceOf(PrioritySpool spool, SpooledSegment segment)
    {
        var read = new List<ReadOnlyMemory<byte>>();
        Assert.True(spool.TryRead(segment.Id, 0, 1, read));
        Assert.Equal(DecodeOutcome.Applied, RecordHeader.TryRead(read[0].Span, CodecLimits.Default, out RecordHeader header));
        return header.NewName!;
    }

    private sealed class Clock(PrioritySpoolTests test) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(test._now);
    }
}
