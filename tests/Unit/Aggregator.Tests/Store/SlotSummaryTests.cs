using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Store;
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
        int summaries = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(40), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            using var run = new Run(seed);
            for (int round = 0; round < 12; round++)
                run.Step();
            summaries += run.Summaries;
        }));
        Assert.True(summaries > 500, $"only {summaries} summaries: the runs do not reach them");
    }

    private sealed class Run : IDisposable
    {
        private readonly Random _random;
        private readonly MemoryDisk _disk = new();
        private readonly VirtualTime _time = new();
        private readonly Meter _meter = new("slot-summaries");
        private readonly StoreEngine _store;
        private readonly double[] _values = new double[8];
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

        public void Step()
        {
            int hours = 1 + _random.Next(4);
            for (int i = 0; i < hours * 12; i++)
            {
                Append(_time.NowMs, i % 3 == 0 ? _values.Length : 3);
                _time.Advance(TimeSpan.FromMinutes(5));
            }
            if (_random.Next(3) == 0)
            {
                for (int n = 0; n < 1 + _random.Next(60); n++)
                    Append(_time.NowMs - _random.Next(36_000_000), 1 + _random.Next(3));
            }
            _store.Commit();
            if (_random.Next(4) > 0)
                _store.Maintain();
            Compare();
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
            for (int i = 0; i < set.Count; i++)
            {
                set.Read(i, all);
                ((ISummarySeriesSet)set).Read(i, cuts, some, summaries);
                Summaries += summaries.Count;
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
            foreach (string query in (string[])["sum(increase(x[26h]))", "avg_over_time(x[20h])", "rate(x{s=\"0\"}[28h])", "max_over_time(x[1d]) - min_over_time(x[1d])", "changes(x[9h]) + resets(x[25h]) + count_over_time(x[3h])"])
                Assert.Equal(Text(_plain.Range(_store.Reader, query, _startMs, now, 7_200_000)), Text(_fast.Range(_store.Reader, query, _startMs, now, 7_200_000)));
        }

        private static string Text(QueryResult result) => result.Error?.Message ?? string.Join("\n", result.Series.Select(s =>
            $"{s.Labels} {string.Join(" ", s.Points.Select(p => $"{p.TimestampMs}={(double.IsNaN(p.Value) ? "NaN" : BitConverter.DoubleToInt64Bits(p.Value).ToString("x", CultureInfo.InvariantCulture))}"))}"));
    }
}
