using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Kit;
using Xunit.Abstractions;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>The power goes at every change that the spool makes on the disk, in each piece of its work, with each way in which the disk may come back.</summary>
public sealed class SpoolCrashTests(ITestOutputHelper output)
{
    private static readonly SpoolOptions s_small = new() { SegmentBytes = 2048, BytesMax = 16 << 10 };

    [Fact]
    public void A_crash_at_any_change_of_the_first_start_leaves_a_spool_that_opens() => Run(s_small, 10, _ => { }, work => work.Reopen());

    [Fact]
    public void A_crash_at_any_change_while_segments_are_begun_leaves_every_synced_record_once() => Run(s_small with { BytesMax = 1 << 30 }, 40, work => work.Reopen(), work =>
    {
        for (int i = 0; i < 90; i++)
            work.Append(synced: i % 3 == 2);
        work.Spool.StartSegment();
        work.Append(synced: true);
    });

    [Fact]
    public void A_crash_at_any_change_of_freeing_what_was_acknowledged_leaves_the_rest() => Run(s_small with { BytesMax = 1 << 30 }, 8, Filled, work =>
    {
        while (work.Segments() is [{ Closed: true }, ..])
        {
            work.AcknowledgeOldest();
            work.Append(synced: true);
        }
    });

    [Fact]
    public void A_crash_at_any_change_of_a_full_spool_leaves_what_was_synced_or_its_count() => Run(s_small, 40, work => work.Reopen(), work =>
    {
        for (int i = 0; i < 240; i++)
            work.Append(synced: i % 4 == 3);
        Assert.NotEmpty(work.Spool.Statistics.Dropped);
    });

    [Fact]
    public void A_crash_at_any_change_of_a_planned_stop_loses_nothing() => Run(s_small with { BytesMax = 1 << 30 }, 2, Filled, work =>
    {
        work.Append(synced: true);
        work.Spool.MarkStop();
        work.Spool.Dispose();
    });

    [Fact]
    public void A_crash_at_any_change_of_opening_a_spool_that_died_loses_nothing() => Run(s_small with { BytesMax = 1 << 30 }, 2, Filled, work =>
    {
        long cutAt = work.Disk.PowerCutAt;
        work.Disk.Crash(onlyProcess: true);
        work.Disk.PowerCutAt = cutAt;
        work.Reopen();
        work.Append(synced: true);
    });

    private void Run(SpoolOptions options, int changesMin, Action<Script> before, Action<Script> work)
    {
        int crashes = EveryCrash.Run(() => new Script(options, before, work));
        output.WriteLine($"{crashes} crashes");
        Assert.True(crashes >= changesMin * 4, $"only {crashes} crashes: the work hardly reaches the disk");
    }

    private static void Filled(Script script)
    {
        script.Reopen();
        for (int i = 0; i < 120; i++)
            script.Append(synced: i % 5 == 4);
    }

    private sealed class Script(SpoolOptions options, Action<Script> before, Action<Script> work) : ICrashScript, IDisposable
    {
        private readonly Meter _meter = new("test");
        private readonly SpoolTicks _ticks = new();
        private readonly Dictionary<long, double> _appended = [];
        private readonly Dictionary<long, int> _samples = [];
        private readonly HashSet<long> _waiting = [];
        private readonly HashSet<long> _durable = [];
        private readonly HashSet<long> _acknowledged = [];

        public FaultyDisk Disk { get; private set; } = null!;

        public LogSpool Spool { get; private set; } = null!;

        public void Dispose() => _meter.Dispose();

        public void Prepare(FaultyDisk disk)
        {
            Disk = disk;
            before(this);
        }

        public void Work(FaultyDisk disk) => work(this);

        public void Verify(FaultyDisk disk)
        {
            Reopen();
            var found = new HashSet<long>();
            foreach (SpooledSegment segment in Segments())
            {
                foreach (long time in TimesOf(segment))
                    Assert.True(found.Add(time), "a record came twice");
            }
            // What gave way is counted, and nothing else is missing.
            long missing = _durable.Where(t => !found.Contains(t) && !_acknowledged.Contains(t)).Sum(t => (long)_samples[t]);
            long counted = Spool.Statistics.Dropped.Where(d => d.Reason == SpoolDropReasons.Size).Sum(d => d.Samples);
            Assert.True(missing <= counted, $"{missing} samples that were durable are gone, and {counted} are counted as dropped");
            Assert.True(missing == 0 || options.BytesMax < 1 << 30, "nothing had to give way");
            Append(synced: true);
            Spool.Dispose();
        }

        public void Reopen() => Spool = LogSpool.Open(Disk, "/spool", options, _ticks, new Random(2), _meter);

        public List<SpooledSegment> Segments()
        {
            var segments = new List<SpooledSegment>();
            Spool.ListSegments(segments);
            return segments;
        }

        public void Append(bool synced)
        {
            SourceTick tick = _ticks.Next();
            _appended[tick.TimestampMs] = tick.Values[0];
            _samples[tick.TimestampMs] = tick.PresentCount;
            Assert.Equal(SpoolAppend.Appended, Spool.Append(tick));
            _waiting.Add(tick.TimestampMs);
            if (!synced)
                return;
            Assert.Equal(LogSync.Durable, Spool.Sync());
            _durable.UnionWith(_waiting);
            _waiting.Clear();
        }

        public void AcknowledgeOldest()
        {
            SpooledSegment oldest = Segments()[0];
            _acknowledged.UnionWith(TimesOf(oldest));
            Spool.Acknowledge(oldest.Id, oldest.Records, oldest.Closed);
        }

        private List<long> TimesOf(SpooledSegment segment)
        {
            var decoder = new SegmentDecoder();
            var records = new List<ReadOnlyMemory<byte>>();
            var times = new List<long>();
            while ((ulong)records.Count < segment.Records)
            {
                int before = records.Count;
                Assert.True(Spool.TryRead(segment.Id, (ulong)records.Count, 1 << 20, records) && records.Count > before, "a record that is listed cannot be read");
            }
            foreach (ReadOnlyMemory<byte> record in records)
            {
                Assert.Equal(DecodeOutcome.Applied, decoder.Apply(record.Span));
                Assert.Equal(_appended[decoder.Tick.TimestampMs], decoder.Tick.Values[0]);
                times.Add(decoder.Tick.TimestampMs);
            }
            return times;
        }
    }
}
