using FsCheck;
using FsCheck.Fluent;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>The fast path against the plain one, bit for bit: random expressions, data, slots answered by summaries; and a step of a range against the same step alone.</summary>
public sealed class FastPathTests
{
    private readonly VirtualTime _time = new();

    [Fact]
    public void Fast_and_plain_evaluation_agree_to_the_last_bit() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(400), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            MemorySeries data = RandomSeries.Make(random);
            var fast = new PromQlEngine(new EngineOptions { Experimental = true }, _time);
            var plain = new PromQlEngine(new EngineOptions { Experimental = true, Plain = true }, _time);
            for (int n = 0; n < 6; n++)
            {
                string query = RandomExpressions.Make(random);
                (long start, long step, int count) = RandomSeries.Steps(random);
                var slots = new SlottedSeries(data, random.Next(4) * 0.33, seed);
                QueryResult expected = plain.Range(data, query, start, start + (step * (count - 1)), step);
                QueryResult got = fast.Range(slots, query, start, start + (step * (count - 1)), step);
                Assert.Equal(Text(expected), $"{Text(got)}");
                Alone(plain, data, query, expected, start + (step * random.Next(count)));
            }
        }));

    [Theory]
    [InlineData("rate(c[10h])")]
    [InlineData("increase(c[11h30m])")]
    [InlineData("sum_over_time(g[1d])")]
    [InlineData("sum(avg_over_time(g[9h])) / count(max_over_time(g[7h]))")]
    public void Long_windows_are_answered_by_summaries_and_decode_only_their_ends(string query)
    {
        var data = new MemorySeries();
        for (int i = 0; i < 2400; i++)
        {
            data.Add(Labels.Of("__name__", "c", "s", "1"), i * 30_000L, i % 700 * 1.5);
            data.Add(Labels.Of("__name__", "g", "s", "1"), i * 30_000L, Math.Sin(i) * 1e6);
        }
        var slots = new SlottedSeries(data, 1, 0);
        QueryResult got = new PromQlEngine(new EngineOptions(), _time).Instant(slots, query, 71_000_000);
        Assert.Equal(Text(new PromQlEngine(new EngineOptions { Plain = true }, _time).Instant(data, query, 71_000_000)), Text(got));
        Assert.True(slots.SummariesGiven >= 3, $"{slots.SummariesGiven} summaries");
        Assert.True(slots.SamplesGiven < 1000, $"{slots.SamplesGiven} samples");
    }

    [Theory]
    [InlineData(double.NegativeInfinity)]
    [InlineData(-1.5e308)]
    [InlineData(double.NaN)]
    public void A_mean_over_slots_whose_sum_overflows_is_that_of_the_samples(double last)
    {
        var data = new MemorySeries();
        foreach ((long minute, double value) in ((long, double)[])[(10, 1.5e308), (20, 1e307), (130, 1.5e308), (140, 1e307), (250, last), (260, last)])
            data.Add(Labels.Of("__name__", "g"), minute * 60_000, value);
        var slots = new SlottedSeries(data, 1, 0);
        QueryResult got = new PromQlEngine(new EngineOptions(), _time).Instant(slots, "avg_over_time(g[6h])", 18_000_000);
        Assert.Equal(Text(new PromQlEngine(new EngineOptions { Plain = true }, _time).Instant(data, "avg_over_time(g[6h])", 18_000_000)), Text(got));
        Assert.Equal(2, slots.SummariesGiven);
    }

    [Theory]
    [InlineData("topk(1, sum by (s) (c))")]
    [InlineData("bottomk(1, sum by (s) (c))")]
    [InlineData("limitk(1, sum by (s) (c))")]
    public void Which_of_equals_is_chosen_at_a_step_does_not_depend_on_the_steps_before_it(string query)
    {
        var data = new MemorySeries();
        for (long minute = 0; minute < 20; minute++)
            data.Add(Labels.Of("__name__", "c", "job", minute < 5 ? "a" : "b", "s", "1"), minute * 60_000, 5);
        for (long minute = 10; minute < 20; minute++)
            data.Add(Labels.Of("__name__", "c", "job", "b", "s", "0"), minute * 60_000, 5);
        foreach (bool isPlain in (bool[])[false, true])
        {
            var engine = new PromQlEngine(new EngineOptions { Plain = isPlain, Experimental = true }, _time);
            Assert.Equal("0", engine.Instant(data, query, 900_000).Series[0].Labels.Get("s"));
            QueryResult range = engine.Range(data, query, 0, 1_140_000, 60_000);
            Assert.Equal("0", Assert.Single(range.Series, s => s.Points.Any(p => p.TimestampMs == 900_000)).Labels.Get("s"));
        }
    }

    // What stands at a step must not depend on the steps around it.
    private static void Alone(PromQlEngine plain, MemorySeries data, string query, QueryResult range, long timeMs)
    {
        if (range.Error is not null || query.Contains("start()", StringComparison.Ordinal) || query.Contains("end()", StringComparison.Ordinal))
            return;
        QueryResult alone = plain.Range(data, query, timeMs, timeMs, 1000);
        string part = string.Join("\n", range.Series.Select(s => (s.Labels, Point: s.Points.Where(p => p.TimestampMs == timeMs).ToList())).Where(s => s.Point.Count > 0).Select(s => $"{s.Labels} {Text(s.Point[0])}"));
        string whole = string.Join("\n", alone.Series.Select(s => $"{s.Labels} {Text(s.Points[0])}"));
        Assert.Equal(part, whole);
    }

    internal static string Text(QueryResult result) => result.Error is { } error
        ? $"{error.Kind}: {error.Message}"
        : string.Join("\n", result.Series.Select(s => $"{s.Labels} {string.Join(" ", s.Points.Select(Text))}").Concat(result.Warnings.Order()).Concat(result.Infos.Order()));

    private static string Text(Point point) => $"{point.TimestampMs}={(double.IsNaN(point.Value) ? "NaN" : BitConverter.DoubleToUInt64Bits(point.Value).ToString("x16"))}{point.Histogram?.Count:R}{point.Histogram?.Sum:R}";
}

/// <summary>Data of all kinds: counters with resets, gauges, decimals, NaN, infinities, stale markers, gaps, some histograms and start times.</summary>
internal static class RandomSeries
{
    private const long HourMs = 3_600_000;

    public static MemorySeries Make(Random random)
    {
        var data = new MemorySeries();
        foreach (string name in (string[])["c", "g"])
        {
            for (int s = 0; s < 1 + random.Next(4); s++)
            {
                Labels labels = Labels.Of("__name__", name, "job", s % 2 == 0 ? "a" : "b", "s", s.ToString());
                long time = random.Next(4) * HourMs + random.Next(60_000);
                double value = random.Next(100);
                int kind = random.Next(7), interval = (30 + random.Next(600)) * 1000, samples = random.Next(200);
                for (int i = 0; i < samples; i++)
                {
                    Add(data, labels, random, kind, ref value, time);
                    time += interval + (random.Next(3) == 0 ? random.Next(2000) - 1000 : 0) + (random.Next(60) == 0 ? 3 * HourMs : 0);
                    if (random.Next(5) == 0)
                        time = (time + 7_200_000) / 7_200_000 * 7_200_000 - random.Next(2);
                }
            }
        }
        return data;
    }

    public static (long Start, long Step, int Count) Steps(Random random)
    {
        long step = (long[])[15_000, 60_000, 600_000, 3_600_000, 7_200_000, 86_400_000] is var all ? all[random.Next(all.Length)] : 0;
        long start = (random.Next(14) * HourMs) + (random.Next(3) == 0 ? random.Next(3_600_000) : 0) - (random.Next(3) == 0 ? 1 : 0);
        return (start, step, 1 + random.Next(step > HourMs ? 5 : 40));
    }

    private static void Add(MemorySeries data, Labels labels, Random random, int kind, ref double value, long time)
    {
        if (random.Next(50) == 0)
        {
            data.Add(labels, time, SpecialValues.StaleMarker);
            return;
        }
        value = kind switch
        {
            0 => random.Next(20) == 0 ? random.Next(3) : value + random.Next(5),
            1 => random.Next(10) == 0 ? 0 : value + (random.NextDouble() * 3),
            2 => Math.Round((random.NextDouble() - 0.5) * 1000, 3),
            3 => (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(30)),
            4 => value,
            5 => random.Next(30) switch { 0 => double.NaN, 1 => double.PositiveInfinity, 2 => double.NegativeInfinity, 3 => -0.0, 4 => 0, 5 => double.MaxValue, 6 => double.Epsilon, _ => random.Next(3) - 1 },
            _ => random.Next(1000) / 8.0,
        };
        if (kind == 6 && random.Next(40) == 0)
            data.Add(labels, time, 0, new NativeHistogram { Schema = 0, Count = random.Next(9), Sum = random.Next(9) });
        else
            data.Add(labels, time, value, null, kind == 0 && labels.Get("s") == "3" ? time - random.Next(1_000_000) : 0);
    }
}

/// <summary>Expressions of random shape.</summary>
internal static class RandomExpressions
{
    private static readonly string[] s_ranges = ["1m", "5m", "17m", "1h", "2h", "3h1m", "6h", "12h", "1d", "7200001ms", "7199999ms"];
    private static readonly string[] s_windows =
    [
        "rate", "increase", "delta", "irate", "idelta", "count_over_time", "present_over_time", "last_over_time", "first_over_time", "sum_over_time", "avg_over_time", "max_over_time",
        "min_over_time", "stddev_over_time", "stdvar_over_time", "changes", "resets", "deriv", "mad_over_time", "ts_of_last_over_time", "ts_of_first_over_time", "ts_of_max_over_time",
    ];
    private static readonly string[] s_aggregates = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "sum", "sum"];

    public static string Make(Random random) => Vector(random, 3);

    private static string Vector(Random random, int depth) => random.Next(depth > 0 ? 11 : 3) switch
    {
        0 => Selector(random),
        1 or 2 => Window(random, depth),
        3 or 4 => $"{Pick(random, s_aggregates)} {Pick(random, ["", "by (job) ", "without (s) ", "by (s, job) ", "by (__name__, s) "])}({Vector(random, depth - 1)})",
        5 => $"{Pick(random, ["topk", "bottomk"])}({random.Next(3)}, {Vector(random, depth - 1)})",
        6 => $"({Vector(random, depth - 1)} {Pick(random, ["+", "-", "*", "/", "%", "^", "==", "!=", "> bool", "<", ">=", "<= bool"])} {Pick(random, ["2", "0", "-1.5", "Inf", "NaN"])})",
        7 => $"({Pick(random, ["2", "0.1", "1e300"])} {Pick(random, ["+", "-", "*", "/", "<", ">", "== bool"])} {Vector(random, depth - 1)})",
        8 => $"({Vector(random, depth - 1)} {Pick(random, ["+", "-", "*", "/", "== bool", ">", "<", "+ on (job, s)", "/ ignoring (job)", "* on (job) group_left ()", "- on (s) group_right ()"])} {Vector(random, depth - 1)})",
        9 => $"({Vector(random, depth - 1)} {Pick(random, ["and", "or", "unless", "or on (job)"])} {Vector(random, depth - 1)})",
        _ => $"{Pick(random, ["abs", "-", "ceil", "sgn", "sqrt"])}({Vector(random, depth - 1)})",
    };

    private static string Window(Random random, int depth)
    {
        string range = random.Next(4) == 0 && depth > 0
            ? $"{Vector(random, 1)}[{Pick(random, s_ranges)}:{Pick(random, ["7m", "1h", "2h"])}]{Offset(random)}"
            : $"{Name(random)}[{Pick(random, s_ranges)}]{Offset(random)}";
        return random.Next(8) switch
        {
            0 => $"quantile_over_time({Pick(random, ["0.5", "0.9", "0", "1", "-1", "0.999"])}, {range})",
            1 => $"predict_linear({range}, 600)",
            _ => $"{Pick(random, s_windows)}({range})",
        };
    }

    private static string Selector(Random random) => Name(random) + Offset(random);

    private static string Name(Random random) => Pick(random, ["c", "g", "g", "c{job=\"a\"}", "{__name__=~\"c|g\",s=\"0\"}"]);

    private static string Offset(Random random) => Pick(random, ["", "", "", " offset 1h", " offset -20m", " offset 2h", " @ 30000", " @ end()"]);

    private static string Pick(Random random, string[] from) => from[random.Next(from.Length)];
}

/// <summary>A reader that answers some of the slots that may be summarised by summaries, as a store with chunks of any borders would.</summary>
internal sealed class SlottedSeries(ISeriesReader inner, double share, int seed) : ISeriesReader
{
    public int SummariesGiven { get; private set; }

    public int SamplesGiven { get; private set; }

    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        new Set(this, inner.Select(fromMs, toMs, matchers, cancellation), new Random(seed), fromMs, toMs);

    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelNames(fromMs, toMs, matchers, cancellation);

    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

    public MetricMetadata? Metadata(string family) => inner.Metadata(family);

    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();

    private sealed class Set(SlottedSeries owner, ISeriesSet set, Random random, long fromMs, long toMs) : ISummarySeriesSet
    {
        private readonly SampleBuffer _all = new();

        public int Count => set.Count;

        public Labels LabelsAt(int index) => set.LabelsAt(index);

        public void Read(int index, SampleBuffer into) => set.Read(index, into);

        public void Read(int index, in WindowCuts cuts, SampleBuffer samples, List<SlotSummary> summaries)
        {
            set.Read(index, _all);
            samples.Clear();
            summaries.Clear();
            for (int i = 0; i < _all.Count;)
            {
                int from = i;
                long slot = TimeSlot.StartOf(_all.Times[i]);
                bool plain = true;
                for (; i < _all.Count && TimeSlot.StartOf(_all.Times[i]) == slot; i++)
                    plain &= _all.HistogramAt(i) is null && _all.StartTimeAt(i) == 0;
                bool whole = slot >= fromMs && slot + TimeSlot.LengthMs - 1 <= toMs;
                if (plain && whole && !cuts.Cut(slot) && random.NextDouble() < owner._share && SlotSummary.TryMake(_all.Times[from..i], _all.Values[from..i], out SlotSummary summary))
                {
                    summaries.Add(summary);
                    owner.SummariesGiven++;
                    continue;
                }
                for (int k = from; k < i; k++)
                {
                    owner.SamplesGiven++;
                    if (_all.HistogramAt(k) is { } histogram)
                        samples.Add(_all.Times[k], histogram, _all.StartTimeAt(k));
                    else
                        samples.Add(_all.Times[k], _all.Values[k], _all.StartTimeAt(k));
                }
            }
        }

        public void Dispose() => set.Dispose();
    }

    private readonly double _share = share;
}
