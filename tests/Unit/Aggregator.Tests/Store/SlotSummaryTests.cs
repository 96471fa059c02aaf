using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Slots that the store answers by summaries say what their samples say, whatever comes late, is cut, or is removed meanwhile.</summary>
public sealed class SlotSummaryTests
{
    [Fact]
    public void Summaries_and_samples_of_a_store_together_are_what_its_samples_are()
    {
        int summaries = 0, edges = 0, joint = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(40), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            using var run = new Run(seed);
            for (int round = 0; round < 12; round++)
                run.Step();
            summaries += run.Summaries;
            edges += run.Edges;
            joint += run.Joint;
        }));
        Assert.True(summaries > 500, $"only {summaries} summaries: the runs do not reach them");
        Assert.True(edges > 500, $"only {edges} windows by their edges: the runs do not reach them");
        Assert.True(joint > 100, $"only {joint} summaries of several chunks: the runs do not reach them");
    }

    private sealed class Run : IDisposable
    {
        private readonly Random _random;
        private readonly MemoryDisk _disk = new();
        private readonly VirtualTime _time = new();
        private readonly Meter _meter = new("slot-summaries");
        private readonly StoreEngine _store;
        private readonly double[] _values = new double[10];
        private readonly PromQlEngine _fast, _plain;
        private readonly long _startMs;

        public Run(int seed)
        {
            _random = new Random(seed);
            var options = new StoreOptions { Folder = "/store", MinFreeBytes = 0, PartitionGrace = TimeSpan.FromMinutes(1), Retention = TimeSpan.FromHours(30), MaxLateSamples = 40 };
            _store = StoreEngine.Open(options, _disk, _time, new Random(seed), _meter, NullLogger.Instance);
            _fast = new PromQlEngine(new EngineOptions(), _time);
            _plain = new PromQlEngine(new EngineOptions { Plain = true }, _time);
            _startMs = _time.NowMs;
        }

        public int Summaries { get; private set; }

        public int Edges { get; private set; }

        public int Joint { get; private set; }

        public void Step()
        {
            int hours = 1 + _random.Next(4);
            for (int i = 0; i < hours * 12; i++)
            {
                Append(_time.NowMs, i % 3 == 0 ? _values.Length : 3);
                _time.Advance(TimeSpan.FromMinutes(5));
            }
            if (_random.Next(3) == 0)
                AppendLate();
            _store.Commit();
            if (_random.Next(4) > 0)
                _store.Maintain();
            if (_random.Next(8) == 0)
                _store.MergeFiles(CancellationToken.None);
            Compare();
        }

        private void AppendLate()
        {
            for (int n = 0; n < 1 + _random.Next(60); n++)
                Append(_time.NowMs - _random.Next(36_000_000), 1 + _random.Next(3));
        }

        // While a selection is read: late data come, are cut into files, and files are merged.
        private void Meanwhile()
        {
            if (_random.Next(2) == 0)
                AppendLate();
            _store.Commit();
            if (_random.Next(2) == 0)
                _store.Maintain();
            if (_random.Next(2) == 0)
                _store.MergeFiles(CancellationToken.None);
        }

        public void Dispose()
        {
            _store.Dispose();
            _meter.Dispose();
        }

        private void Append(long timeMs, int series)
        {
            var batch = new SampleBatch();
            for (int s = 0; s < series; s++)
            {
                if (s == 5 && _random.Next(4) > 0)
                    continue;
                double value = s switch
                {
                    0 => _values[0] = _random.Next(40) == 0 ? 0 : _values[0] + _random.Next(9),
                    1 => Math.Round(_random.NextDouble() * 100, 2),
                    2 => 7.3,
                    8 or 9 => _values[s] += _random.Next(3) * (s == 8 ? 1 : 0.1),
                    3 => (_random.NextDouble() - 0.5) * 1e17,
                    4 => _random.Next(30) == 0 ? double.NaN : _random.Next(3),
                    6 => _random.Next(30) == 0 ? SpecialValues.StaleMarker : _random.Next(3),
                    _ => _random.Next(3),
                };
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "x", "s", s.ToString(CultureInfo.InvariantCulture)), timeMs, value, null, s == 7 ? timeMs - 1000 : 0));
            }
            _store.AppendBatch(batch);
        }

        private void Compare()
        {
            long now = _time.NowMs, range = (1 + _random.Next(30)) * 3_600_000L, end = now - (_random.Next(3) * 1_800_000L);
            var cuts = new WindowCuts(end, _random.Next(2) * 3_600_000L * _random.Next(12), 1 + _random.Next(3), range);
            long last = cuts.FirstEndMs + ((cuts.Count - 1) * cuts.StepMs);
            LabelMatcher[] matchers = _random.Next(2) == 0 ? [new(MatchType.Equal, "__name__", "x")] : [new(MatchType.Equal, "__name__", "x"), new(MatchType.Regex, "s", "[0-4]")];
            using ISeriesSet set = _store.Reader.Select(end - range + 1, last, matchers, CancellationToken.None);
            SampleBuffer all = new(), some = new();
            var summaries = new List<SlotSummary>();
            int meanwhile = _random.Next(4) == 0 ? _random.Next(10) : -1;
            for (int i = 0; i < set.Count; i++)
            {
                if (i == meanwhile)
                    Meanwhile();
                set.Read(i, all);
                CompareEdges((IEdgeSeriesSet)set, i, cuts, all);
                ((ISummarySeriesSet)set).Read(i, cuts, some, summaries);
                Summaries += summaries.Count;
                Joint += summaries.Count(s => ChunksOf(set.LabelsAt(i), s) > 1);
                Assert.Equal(all.Count, some.Count + summaries.Sum(s => s.Count));
                int next = 0;
                for (int a = 0; a < all.Count;)
                {
                    int known = summaries.FindIndex(s => s.FirstMs == all.Times[a]);
                    if (known < 0)
                    {
                        Assert.Equal((all.Times[a], BitConverter.DoubleToInt64Bits(all.Values[a])), (some.Times[next], BitConverter.DoubleToInt64Bits(some.Values[next])));
                        a++;
                        next++;
                        continue;
                    }
                    int count = summaries[known].Count;
                    Assert.True(SlotSummary.TryMake(all.Times.Slice(a, count), all.Values.Slice(a, count), out SlotSummary expected));
                    Assert.Equal(expected, summaries[known]);
                    a += count;
                }
            }
            foreach (string query in (string[])["rate(x[1h])", "delta(x[3h]) + increase(x[150m] offset 7m)", "sum(increase(x[26h]))", "avg_over_time(x[20h])", "rate(x{s=\"0\"}[28h])", "max_over_time(x[1d]) - min_over_time(x[1d])", "changes(x[9h]) + resets(x[25h]) + count_over_time(x[3h])"])
                Assert.Equal(Text(_plain.Range(_store.Reader, query, _startMs, now, 7_200_000)), Text(_fast.Range(_store.Reader, query, _startMs, now, 7_200_000)));
        }

        private int ChunksOf(Labels labels, in SlotSummary slot)
        {
            int chunks = 0;
            foreach (BlockFile file in _store.Blocks.Files)
            {
                BlockIndex index = _store.Blocks.TryIndex(file)!;
                for (int at = index.Find(labels); at >= 0; at = index.NextOf(at))
                    chunks += TimeSlot.StartOf(index[at].MinMs) == TimeSlot.StartOf(slot.FirstMs) ? 1 : 0;
            }
            return chunks;
        }

        private void CompareEdges(IEdgeSeriesSet set, int index, in WindowCuts cuts, SampleBuffer all)
        {
            var some = new SampleBuffer();
            var ordinals = new List<long>();
            if (!set.TryReadEdges(index, cuts, some, ordinals))
                return;
            Assert.False(all.HasHistograms || all.HasStartTimes);
            (long Time, long Bits)[] full = [.. Enumerable.Range(0, all.Count).Where(a => !SpecialValues.IsStale(all.Values[a])).Select(a => (all.Times[a], BitConverter.DoubleToInt64Bits(all.Values[a])))];
            for (int w = 0; w < cuts.Count; w++)
            {
                long end = cuts.FirstEndMs + (w * cuts.StepMs), start = end - cuts.RangeMs;
                int[] of = [.. Enumerable.Range(0, some.Count).Where(i => some.Times[i] > start && some.Times[i] <= end)];
                (long Time, long Bits)[] whole = [.. full.Where(f => f.Time > start && f.Time <= end)];
                Assert.Equal(whole.Length > 0, of.Length > 0);
                if (of.Length == 0)
                    continue;
                Edges++;
                Assert.Equal(whole[0], (some.Times[of[0]], BitConverter.DoubleToInt64Bits(some.Values[of[0]])));
                Assert.Equal(whole[^1], (some.Times[of[^1]], BitConverter.DoubleToInt64Bits(some.Values[of[^1]])));
                Assert.Equal(whole.Length, ordinals[of[^1]] - ordinals[of[0]] + 1);
            }
        }

        private static string Text(QueryResult result) => result.Error?.Message ?? string.Join("\n", result.Series.Select(s =>
            $"{s.Labels} {string.Join(" ", s.Points.Select(p => $"{p.TimestampMs}={(double.IsNaN(p.Value) ? "NaN" : BitConverter.DoubleToInt64Bits(p.Value).ToString("x", CultureInfo.InvariantCulture))}"))}"));
    }
}
