using System.Diagnostics.Metrics;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>The power goes at every change that the store makes on the disk, in each piece of its work, with each way in which the disk may come back.</summary>
public sealed class StoreCrashTests(ITestOutputHelper output)
{
    private static readonly StoreOptions s_small = new()
    {
        Folder = "/store",
        Partition = TimeSpan.FromMinutes(10),
        PartitionGrace = TimeSpan.FromMinutes(2),
        Retention = TimeSpan.FromDays(60),
        WalFileBytes = 4 << 10,
        MinFreeBytes = 0,
    };

    [Fact]
    public void A_crash_at_any_change_of_the_first_start_leaves_a_store_that_opens() => Run(s_small, 10, _ => { }, work =>
    {
        work.Reopen();
        work.Append(3);
    });

    [Fact]
    public void A_crash_at_any_change_of_the_log_leaves_what_was_committed() => Run(s_small, 40, work => work.Reopen(), work =>
    {
        for (int i = 0; i < 16; i++)
        {
            work.Append(8);
            work.Send();
        }
    });

    [Fact]
    public void A_crash_at_any_change_of_a_cut_and_its_checkpoint_leaves_everything_once() => Run(s_small, 20, Filled, work =>
    {
        work.Time.Advance(TimeSpan.FromMinutes(20));
        work.Store.Maintain();
        work.Append(5);
        work.Send();
    });

    [Fact]
    public void A_crash_at_any_change_while_the_head_is_saved_leaves_everything_once() => Run(s_small, 20, Filled, work =>
    {
        work.Store.SaveHead();
        work.Append(5);
        work.Send();
        work.Store.SaveHead();
        work.Send();
        work.Append(2);
    });

    [Fact]
    public void A_crash_at_any_change_of_cuts_between_saved_heads_leaves_everything_once() => Run(s_small with { SaveHeadSamples = 1 }, 40, InFiles, work =>
    {
        for (int i = 0; i < 2; i++)
        {
            work.Append(5);
            work.Send();
            work.Time.Advance(TimeSpan.FromMinutes(7));
            work.Store.Maintain();
            work.Send();
        }
        work.IsDone = () => Assert.Equal((true, true), (work.Store.SavedHeads > 0, work.Store.Blocks.Count > 2));
    });

    [Fact]
    public void A_crash_at_any_change_of_a_merge_of_files_leaves_everything_once() => Run(s_small, 6, InFiles, work =>
    {
        work.Time.Advance(TimeSpan.FromHours(13));
        work.Store.Maintain();
        work.Store.MergeFiles(CancellationToken.None);
    });

    [Fact]
    public void A_crash_at_any_change_of_retention_leaves_what_is_younger() => Run(s_small with { Retention = TimeSpan.FromHours(2) }, 6, InFiles, work =>
    {
        work.Time.Advance(TimeSpan.FromHours(1.5));
        work.Append(5);
        work.Time.Advance(TimeSpan.FromMinutes(20));
        work.ForgetBefore(work.Time.NowMs - (long)TimeSpan.FromHours(2).TotalMilliseconds);
        work.Store.Maintain();
    });

    [Fact]
    public void A_crash_at_any_change_of_coarsening_leaves_each_sample_or_its_slot() =>
        Run(s_small with { Retention = TimeSpan.FromHours(2), Resolutions = [new CoarseResolution(TimeSpan.FromMinutes(5), TimeSpan.FromHours(5)), new CoarseResolution(TimeSpan.FromMinutes(30), TimeSpan.FromDays(60))], CoarsensWhateverTheSize = true }, 12, InFiles, work =>
        {
            for (int i = 0; i < 5; i++)
            {
                work.Time.Advance(TimeSpan.FromHours(1.5));
                work.Append(4);
                work.MayBeInSlotsBefore(work.Time.NowMs - (long)TimeSpan.FromHours(2).TotalMilliseconds + 60_000);
                work.Store.Maintain();
                work.Store.MergeFiles(CancellationToken.None);
            }
            work.IsDone = () => Assert.Contains(work.Store.Blocks.Files, f => f.ResolutionMs == 1_800_000);
        });

    [Fact]
    public void A_crash_at_any_change_of_a_deletion_leaves_the_other_series_whole() => Run(s_small, 8, InFiles, work =>
    {
        work.Append(5);
        work.Store.SaveHead();
        work.Forget("m1");
        var deletion = new SeriesDeletion([[new LabelMatcher(Bellwether.Core.Model.MatchType.Equal, "__name__", "m1")]], long.MinValue, long.MaxValue);
        work.Store.DeleteFromMemory(deletion);
        work.Store.DeleteFromFiles(deletion, CancellationToken.None);
        work.IsDone = () => Assert.DoesNotContain(work.Actual().Keys, k => k.Series == "m1");
    });

    [Fact]
    public void A_crash_at_any_change_of_a_snapshot_leaves_the_store_whole() => Run(s_small, 10, InFiles, work =>
    {
        work.Append(5);
        using (StoreSnapshot snapshot = work.Store.BeginSnapshot())
            snapshot.CopyTo("/copy", 0, CancellationToken.None);
        work.IsDone = () => work.Copied("/copy");
    });

    [Fact]
    public void A_crash_at_any_change_of_a_planned_stop_loses_nothing() => Run(s_small, 1, Filled, work =>
    {
        work.Append(5);
        work.Store.Dispose();
    });

    private void Run(StoreOptions options, int changesMin, Action<Script> before, Action<Script> work)
    {
        int crashes = EveryCrash.Run(() => new Script(options, before, work));
        output.WriteLine($"{crashes} crashes");
        Assert.True(crashes >= changesMin * 4, $"only {crashes} crashes: the work hardly reaches the disk");
    }

    private static void Filled(Script script)
    {
        script.Reopen();
        for (int i = 0; i < 6; i++)
        {
            script.Append(10);
            script.Send();
            script.Time.Advance(TimeSpan.FromMinutes(1));
        }
    }

    private static void InFiles(Script script)
    {
        script.Reopen();
        for (int i = 0; i < 4; i++)
        {
            script.Append(10);
            script.Time.Advance(TimeSpan.FromMinutes(15));
            script.Store.Maintain();
        }
        Assert.True(script.Store.Blocks.Count >= 2);
    }

    private sealed class Script(StoreOptions options, Action<Script> before, Action<Script> work) : ICrashScript, IDisposable
    {
        private readonly Meter _meter = new("store-crash");
        private readonly Dictionary<(string Series, long Time), double> _sure = [];
        private readonly Dictionary<(string Series, long Time), double> _maybe = [];
        private readonly Dictionary<(string Series, long Time), double> _inSlots = [];
        private readonly List<ReadOnlyMemory<byte>> _records = [];
        private readonly SegmentEncoder _encoder = new();
        private readonly SourceTable _table = new("shop", 1000);
        private readonly SourceTick _tick = new();
        private FaultyDisk _disk = null!;
        private int _committed;
        private int _values;

        public VirtualTime Time { get; } = new();

        public StoreEngine Store { get; private set; } = null!;

        /// <summary>What holds once the work has gone through.</summary>
        public Action? IsDone { get; set; }

        public void Prepare(FaultyDisk disk)
        {
            _disk = disk;
            _encoder.StartSegment(false);
            for (int i = 0; i < 4; i++)
                _table.Add(Labels.Of("__name__", "shop" + i));
            before(this);
        }

        public void Work(FaultyDisk disk)
        {
            work(this);
            // Reached when nothing is cut: the work must be worth the trouble.
            IsDone?.Invoke();
        }

        public void Verify(FaultyDisk disk)
        {
            Reopen();
            Assert.Equal(0, Store.Opened.UnreadableFrames);
            Assert.Equal(0, Store.Opened.QuarantinedFiles);
            Dictionary<(string Series, long Time), double> actual = Actual();
            foreach (((string Series, long Time) key, double value) in _sure)
                Assert.True(actual.TryGetValue(key, out double now) && now == value, $"{key} was committed and is not there");
            foreach (((string Series, long Time) key, double value) in actual)
                Assert.True((_sure.TryGetValue(key, out double known) || _maybe.TryGetValue(key, out known) || _inSlots.TryGetValue(key, out known)) && known == value, $"{key} is {value}, which nobody wrote");
            if (_inSlots.Count > 0)
                VerifySlots();
            SegmentProgress held = Store.HeldOf(Key);
            Assert.True(held.Complete || held.Records >= (ulong)_committed, "a committed record is not held");
            if (_records.Count > 0 && !held.Complete)
            {
                // The stream goes on: from where the store says.
                RunResult result = Store.ApplyRun(new RecordRun(Key, held.Records, [.. _records.Skip((int)held.Records)], true));
                Assert.Equal(RunOutcome.Applied, result.Outcome);
            }
            Store.Commit();
            Store.Dispose();
        }

        public void Dispose() => _meter.Dispose();

        public void Reopen() => Store = Open("/store");

        /// <summary>Commits samples of three series, each with a value of its own.</summary>
        public void Append(int ticks)
        {
            var batch = new SampleBatch();
            for (int i = 0; i < ticks; i++)
            {
                for (int series = 0; series < 3; series++)
                    Note(batch, "m" + series);
                Time.Advance(TimeSpan.FromSeconds(5));
            }
            Store.AppendBatch(batch);
            Commit();
        }

        /// <summary>Commits one more record of an agent's segment.</summary>
        public void Send()
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            _tick.Begin(_table, Time.NowMs);
            for (int i = 0; i < 4; i++)
            {
                _tick.Set(i, ++_values);
                _maybe[("shop" + i, Time.NowMs)] = _values;
            }
            _tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, _encoder.Encode(_tick));
            _records.Add(_encoder.Record.ToArray());
            Assert.Equal(RunOutcome.Applied, Store.ApplyRun(new RecordRun(Key, (ulong)_records.Count - 1, [_records[^1]], false)).Outcome);
            // Applied is not durable: a sender that is told so now may free its copy.
            Assert.Equal((ulong)_committed, Store.HeldOf(Key).Records);
            Commit();
            _committed = _records.Count;
        }

        /// <summary>From here on a series may be there or not.</summary>
        public void Forget(string series) => Forget(k => k.Series == series);

        /// <summary>From here on what is older may be there or not.</summary>
        public void ForgetBefore(long timeMs) => Forget(k => k.Time < timeMs);

        /// <summary>From here on what is older may be there as samples or in a slot.</summary>
        public void MayBeInSlotsBefore(long timeMs)
        {
            foreach ((string Series, long Time) key in _sure.Keys.Where(k => k.Time < timeMs).ToList())
            {
                _inSlots[key] = _sure[key];
                _sure.Remove(key);
            }
        }

        // Each once, as a sample or counted and summed in a slot.
        private void VerifySlots()
        {
            using ISeriesSet set = Store.Reader.Select(long.MinValue, long.MaxValue, [new LabelMatcher(Core.Model.MatchType.Regex, "__name__", "m.*")], CancellationToken.None);
            var samples = new SampleBuffer();
            var slots = new List<CoarseSlot>();
            for (int i = 0; i < set.Count; i++)
            {
                string series = set.LabelsAt(i).MetricName;
                CoarseSets.Read(set, i, samples, slots);
                double[] written = [.. _sure.Concat(_inSlots).Where(s => s.Key.Series == series).Select(s => s.Value)], maybe = [.. _maybe.Where(s => s.Key.Series == series).Select(s => s.Value)];
                int count = samples.Count + slots.Sum(s => s.Floats.Count);
                double sum = samples.Values.ToArray().Sum() + slots.Sum(s => s.Floats.Sum);
                Assert.True((count, sum) == (written.Length, written.Sum()) || (count, sum) == (written.Length + maybe.Length, written.Sum() + maybe.Sum()), $"{series}: {count} samples with the sum {sum}, {written.Length} with {written.Sum()} were committed");
            }
        }

        /// <summary>The copy is a store with all that was committed.</summary>
        public void Copied(string folder)
        {
            using StoreEngine copy = Open(folder);
            Dictionary<(string Series, long Time), double> there = ActualOf(copy);
            Assert.All(_sure, s => Assert.Equal(s.Value, there[s.Key]));
        }

        public Dictionary<(string Series, long Time), double> Actual() => ActualOf(Store);

        private static Dictionary<(string Series, long Time), double> ActualOf(StoreEngine store) => store.Reader.Samples().ToDictionary(s => (s.Labels.MetricName, s.TimestampMs), s => s.Value);

        private static SegmentKey Key => new("web-1", 1, 1, 7);

        private StoreEngine Open(string folder) => StoreEngine.Open(options with { Folder = folder }, _disk, Time, new Random(1), _meter, NullLogger.Instance);

        private void Note(SampleBatch batch, string series)
        {
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", series), Time.NowMs, ++_values));
            _maybe[(series, Time.NowMs)] = _values;
        }

        private void Commit()
        {
            Store.Commit();
            foreach (((string Series, long Time) key, double value) in _maybe)
                _sure[key] = value;
            _maybe.Clear();
        }

        private void Forget(Func<(string Series, long Time), bool> which)
        {
            foreach ((string Series, long Time) key in _sure.Keys.Where(which).ToList())
            {
                _maybe[key] = _sure[key];
                _sure.Remove(key);
            }
        }
    }
}
