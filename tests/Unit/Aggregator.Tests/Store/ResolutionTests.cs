using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Store;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Two stores get the same samples; one keeps them, the other makes slots of 5 minutes and 1 hour of them. What the slots answer is what the samples answer, to the last bit.</summary>
public sealed class ResolutionTests
{
    private static readonly CoarseResolution s_five = new(TimeSpan.FromMinutes(5), TimeSpan.FromHours(20));
    private static readonly CoarseResolution s_hour = new(TimeSpan.FromHours(1), TimeSpan.FromDays(400));

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Slots_answer_what_samples_answer_at_their_borders(bool five, bool hour)
    {
        int answered = 0, known = 0, refused = 0;
        CoarseResolution[] resolutions = [.. new[] { five ? s_five with { Retention = hour ? s_five.Retention : s_hour.Retention } : null, hour ? s_hour : null }.OfType<CoarseResolution>()];
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(8), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            using var run = new Run(seed, resolutions);
            for (int round = 0; round < 10; round++)
                run.Step();
            answered += run.Compare(hour ? 3_600_000 : 300_000);
            (int anywhere, int not) = run.CompareAnywhere(hour ? 3_600_000 : 300_000);
            (known, refused) = (known + anywhere, refused + not);
        }));
        Assert.True(answered > 1000, $"only {answered} values were compared");
        Assert.True(known > 2000 && refused > 500, $"{known} answers, {refused} refusals");
    }

    private sealed class Run : IDisposable
    {
        private readonly Random _random;
        private readonly VirtualTime _time = new();
        private readonly Meter _meter = new("resolutions");
        private readonly StoreEngine _raw, _coarse;
        private readonly double[] _values = new double[10];
        private readonly PromQlEngine _plain, _fast;
        private readonly long _startMs;
        private readonly bool[] _isGone = new bool[10];

        public Run(int seed, IReadOnlyList<CoarseResolution> resolutions)
        {
            _random = new Random(seed);
            var options = new StoreOptions { Folder = "/store", MinFreeBytes = 0, PartitionGrace = TimeSpan.FromMinutes(1), Retention = TimeSpan.FromDays(400), MaxLateSamples = 400 };
            _raw = StoreEngine.Open(options, new MemoryDisk(), _time, new Random(seed), _meter, NullLogger.Instance);
            _coarse = StoreEngine.Open(options with { Retention = TimeSpan.FromHours(6), Resolutions = resolutions, CoarsensWhateverTheSize = true }, new MemoryDisk(), _time, new Random(seed), _meter, NullLogger.Instance);
            _plain = new PromQlEngine(new EngineOptions { Plain = true, Experimental = true }, _time);
            _fast = new PromQlEngine(new EngineOptions { Experimental = true }, _time);
            _startMs = _time.NowMs;
        }

        /// <summary>Some hours of samples, some of them late, some series with gaps; then what is due is done.</summary>
        public void Step()
        {
            int hours = 1 + _random.Next(6);
            for (int g = 0; g < _isGone.Length; g++)
                _isGone[g] = _random.Next(5) == 0;
            for (int i = 0; i < hours * 60; i++)
            {
                Append(_time.NowMs, 0);
                _time.Advance(TimeSpan.FromMinutes(1));
            }
            for (int n = 0; n < _random.Next(40); n++)
                Append(_time.NowMs - _random.Next(18_000_000), 3);
            foreach (StoreEngine store in (StoreEngine[])[_raw, _coarse])
            {
                store.Commit();
                store.Maintain();
                store.MergeFiles(CancellationToken.None);
            }
        }

        /// <summary>Compares over the whole time; gives how many values were the same.</summary>
        public int Compare(long unitMs)
        {
            Assert.True(_coarse.CoarsenedFiles > 0);
            long now = _time.NowMs / unitMs * unitMs, from = (_startMs / unitMs * unitMs) + unitMs;
            int answered = 0;
            string range = unitMs == 300_000 ? _random.Next(2) == 0 ? "5m" : "25m" : _random.Next(2) == 0 ? "1h" : "3h";
            string[] functions = ["rate", "increase", "delta", "count_over_time", "present_over_time", "last_over_time", "first_over_time", "ts_of_last_over_time", "ts_of_first_over_time", "sum_over_time", "avg_over_time", "max_over_time", "min_over_time", "changes", "resets"];
            string[] anchored = ["rate", "increase", "delta", "changes", "resets"];
            foreach (string query in (string[])[.. anchored.Select(f => $"{f}(x{(f is "rate" or "increase" ? "{s!~\"[19]\"}" : "")}[{range}] anchored)"), .. functions.Select(f => $"{f}(x{(f is "rate" or "increase" ? "{s!~\"[19]\"}" : "")}[{range}])"), $"delta(x[{range}] smoothed)", "x smoothed", $"increase(x{{s=\"2\"}}[{range}] smoothed)", "x", "timestamp(x)", "x offset 2h", $"absent_over_time(x{{s=\"4\"}}[{range}])", $"sum(rate(x{{s=~\"[03]\"}}[{range}])) / count(x)", "max_over_time(x[6h:1h])"])
            {
                QueryResult expected = _plain.Range(_raw.Reader, query, from, now, unitMs), actual = _fast.Range(_coarse.Reader, query, from, now, unitMs);
                Assert.Null(actual.Error);
                bool isRounded = actual.Infos.Any(i => i.Contains("last bits"));
                Assert.Empty(actual.Warnings);
                // The windows are short, and no value is tiny: every order of a sum gives the same. Plain sums of what was before many resets of other numbers than integers do not.
                Assert.False(isRounded, query);
                Assert.True(Text(expected) == Text(actual), $"{query}: {Difference(expected, actual)}");
                answered += actual.Series.Sum(s => s.Points.Count);
            }
            Assert.Contains(_fast.Range(_coarse.Reader, $"rate(x{{s=\"9\"}}[{range}])", from, now, unitMs).Infos, i => i.Contains("last bits", StringComparison.Ordinal));
            return answered;
        }

        /// <summary>At any time, with any range: what is answered is the same, too; gives how many answers there were, and how many refusals.</summary>
        public (int Answered, int Refused) CompareAnywhere(long unitMs)
        {
            int answered = 0, refused = 0;
            string[] functions = ["absent_over_time", "present_over_time", "last_over_time", "first_over_time", "ts_of_last_over_time", "ts_of_first_over_time", "count_over_time", "changes"];
            for (int n = 0; n < 150; n++)
            {
                long at = _startMs + _random.NextInt64(_time.NowMs - _startMs);
                if (_random.Next(3) == 0)
                    at = at / unitMs * unitMs;
                string range = at % unitMs == 0 && _random.Next(2) == 0 ? $"{unitMs * (1 + _random.Next(12))}ms" : $"{1 + _random.Next(_random.Next(2) == 0 ? 240 : 8000)}s", series = $"x{{s=\"{_random.Next(10)}\"}}";
                string function = functions[_random.Next(functions.Length)];
                foreach (string query in (string[])[$"{function}({series}[{range}])", $"increase({series}[{range}] anchored)", $"delta({series}[{range}] smoothed)", $"rate({series}[{range}] smoothed)", series, $"{series} smoothed"])
                {
                    QueryResult expected = _plain.Instant(_raw.Reader, query, at), actual = _fast.Instant(_coarse.Reader, _fast.Prepare(query).Exactly(), at);
                    if (actual.Error is { } error)
                    {
                        Assert.Contains("retention", error.Message, StringComparison.Ordinal);
                        refused++;
                        continue;
                    }
                    Assert.True(Text(expected) == Text(actual), $"{query} @ {at}: {Text(expected)} of samples is {Text(actual)} of slots");
                    answered++;
                }
            }
            return (answered, refused);
        }

        public void Dispose()
        {
            _raw.Dispose();
            _coarse.Dispose();
            _meter.Dispose();
        }

        private void Append(long timeMs, int onlySeries)
        {
            var batch = new SampleBatch();
            for (int s = 0; s < _values.Length; s++)
            {
                if (_isGone[s] || (onlySeries > 0 && s >= onlySeries) || (s == 5 && _random.Next(20) > 0))
                    continue;
                double value = s switch
                {
                    0 => _values[0] = _random.Next(40) == 0 ? 0 : _values[0] + _random.Next(9),
                    1 => Math.Round(_random.NextDouble() * 100, 2),
                    2 => 7.3,
                    3 => _values[3] = _random.Next(60) == 0 ? 0.5 : _values[3] + (_random.Next(90) / 8.0),
                    4 => _random.Next(30) == 0 ? double.NaN : _random.Next(3) - 1,
                    6 => _random.Next(9) == 0 ? SpecialValues.StaleMarker : _random.Next(3),
                    9 => _random.NextDouble() * 1e3,
                    _ => _random.Next(3),
                };
                // One series lies on the borders, the others between them.
                long at = timeMs + (s == 2 ? 0 : 1 + (s * 1700));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "x", "s", s.ToString(CultureInfo.InvariantCulture)), at, value, null, s == 7 ? timeMs - 1000 : 0));
            }
            _raw.AppendBatch(batch);
            _coarse.AppendBatch(batch);
        }

        private static string Difference(QueryResult expected, QueryResult actual)
        {
            string[] a = Text(expected).Split('\n', ' '), b = Text(actual).Split('\n', ' ');
            int at = Enumerable.Range(0, Math.Min(a.Length, b.Length)).FirstOrDefault(i => a[i] != b[i], -1);
            return at < 0 ? $"{a.Length} and {b.Length} parts" : $"{a[at]} of samples is {b[at]} of slots, after {a[at - 1]}, in {a.Last(p => p.StartsWith('{') || p.StartsWith('x') || p.Contains('"'))}";
        }

        private static string Text(QueryResult result) => result.Error?.Message ?? string.Join("\n", result.Series.Select(s =>
            $"{s.Labels} {string.Join(" ", s.Points.Select(p => $"{p.TimestampMs}={(double.IsNaN(p.Value) ? "NaN" : BitConverter.DoubleToInt64Bits(p.Value).ToString("x", CultureInfo.InvariantCulture))}"))}"));
    }
}
