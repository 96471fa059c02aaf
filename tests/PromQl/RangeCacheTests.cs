using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>Results that are kept between range queries, and values that the rules of a group share: never another answer, whatever comes late.</summary>
public sealed class RangeCacheTests
{
    private static readonly string[] s_queries =
    [
        "sum by (s) (rate(v[5m]))", "v", "v offset 10m", "avg_over_time(v[17m]) * 2", "max_over_time(sum(v)[10m:1m])", "v @ end()", "v offset -5m", "sum(v) / scalar(count(v)) + time()",
        "topk(2, v)", "increase(v[30m])", "vector(start())", "sort(v)",
    ];

    private readonly VirtualTime _time = new();

    [Fact]
    public void What_is_kept_is_what_would_be_evaluated_whatever_comes_late()
    {
        int read = 0, asked = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(60), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var data = new ChangingSeries();
            var kept = new PromQlEngine(new EngineOptions { Experimental = true, MaxCachedPoints = random.Next(3) == 0 ? 1500 : 100_000 }, _time);
            var plain = new PromQlEngine(new EngineOptions { Experimental = true, Plain = true }, _time);
            long now = 3_600_000;
            for (int i = 0; i < 60; i++)
            {
                now += random.Next(120_000);
                for (int s = 0; s < 4; s++)
                    data.Add(Labels.Of("__name__", "v", "s", s.ToString(CultureInfo.InvariantCulture)), now + s, random.Next(100));
                if (random.Next(6) == 0)
                    data.Add(Labels.Of("__name__", "v", "s", random.Next(5).ToString(CultureInfo.InvariantCulture)), now - random.Next(3_000_000), random.Next(100));
                string query = s_queries[random.Next(s_queries.Length)];
                long step = random.Next(2) == 0 ? 60_000 : 15_000, end = now / step * step - (random.Next(4) * 60_000) + (random.Next(5) == 0 ? 1 : 0), start = end - (step * random.Next(1, 80));
                long before = data.Reads;
                QueryResult got = kept.Range(data, query, start, end, step);
                read += (int)(data.Reads - before);
                asked++;
                Assert.Equal(Text(plain.Range(data, query, start, end, step)), Text(got));
            }
        }));
        Assert.True(asked > 1000 && read > 1000, $"{asked} {read}");
    }

    [Fact]
    public void A_dashboard_that_moves_on_reads_new_steps_only()
    {
        var data = new ChangingSeries();
        var engine = new PromQlEngine(new EngineOptions(), _time);
        for (long t = 0; t <= 3_600_000; t += 15_000)
            data.Add(Labels.Of("__name__", "v_total"), t, t);
        engine.Range(data, "rate(v_total[5m])", 600_000, 3_600_000, 60_000);
        Assert.Equal(600_000 - 300_000 + 1, data.OldestRead);
        data.Add(Labels.Of("__name__", "v_total"), 3_660_000, 1);
        data.OldestRead = long.MaxValue;
        Assert.Equal(51, engine.Range(data, "rate(v_total[5m])", 660_000, 3_660_000, 60_000).Series[0].Points.Count);
        Assert.Equal(3_660_000 - 300_000 + 1, data.OldestRead);
        // Late data: from there on everything is evaluated again.
        data.Add(Labels.Of("__name__", "v_total"), 1_800_001, 5);
        data.OldestRead = long.MaxValue;
        engine.Range(data, "rate(v_total[5m])", 660_000, 3_660_000, 60_000);
        Assert.Equal(1_860_000 - 300_000 + 1, data.OldestRead);
        // A change counts once: the steps after it are known again.
        for (long end = 3_720_000; end <= 4_200_000; end += 60_000)
        {
            data.Add(Labels.Of("__name__", "v_total"), end, end);
            data.OldestRead = long.MaxValue;
            engine.Range(data, "rate(v_total[5m])", end - 3_000_000, end, 60_000);
            Assert.Equal(end - 300_000 + 1, data.OldestRead);
        }
    }

    [Fact]
    public void However_many_small_answers_are_kept_they_stay_within_the_limits()
    {
        const long MaxPoints = 100_000;
        RangeCache many = new(10_000_000), little = new(MaxPoints);
        int most = 0;
        for (int i = 0; i < 100_000; i++)
        {
            string key = RangeCache.KeyOf($"v{{s=\"{i}\"}}", 0, 60_000);
            many.Keep(key, new RangeCache.Extent(0, 600_000, 0, []));
            little.Keep(key, new RangeCache.Extent(0, 600_000, 0, []));
            most = Math.Max(most, many.Kept.Entries);
            Assert.InRange(little.Kept.Points, 1, MaxPoints);
        }
        Assert.Equal(RangeCache.MaxEntries, most);
        Assert.InRange(many.Kept.Entries, RangeCache.MaxEntries / 2, RangeCache.MaxEntries);
        Assert.InRange(little.Kept.Entries, 500, (int)MaxPoints / 64);
        // Long texts count, too.
        for (int i = 0; i < 100; i++)
            little.Keep(RangeCache.KeyOf(new string('v', 16_000) + i, 0, 60_000), new RangeCache.Extent(0, 600_000, 0, []));
        Assert.InRange(little.Kept.Entries, 10, 60);
    }

    [Fact]
    public void Empty_answers_of_an_engine_are_kept_within_the_limits()
    {
        var data = new ChangingSeries();
        var engine = new PromQlEngine(new EngineOptions(), _time);
        for (int i = 0; i < 2 * RangeCache.MaxEntries; i++)
            Assert.Null(engine.Range(data, $"v{{s=\"{i}\"}}", 0, 60_000, 60_000).Error);
        Assert.InRange(engine.Ranges!.Kept.Entries, 1, RangeCache.MaxEntries);
    }

    [Fact]
    public void Queries_that_are_asked_together_evaluate_what_they_share_once()
    {
        var data = new ChangingSeries();
        for (long t = 0; t <= 600_000; t += 15_000)
            data.Add(Labels.Of("__name__", "v_total", "s", "1"), t, t);
        var engine = new PromQlEngine(new EngineOptions(), _time);
        string[] queries = ["sum(rate(v_total[5m])) / 2", "sum (rate(v_total[5m])) > 1", "rate(v_total[5m]) * 3", "v_total"];
        PreparedQuery[] prepared = [.. queries.Select(engine.Prepare)];
        SharedEvaluation shared = PromQlEngine.Share(prepared);
        Assert.Equal(2, shared.SharedCount);
        string[] Ask() => [.. prepared.Select(q => Text(engine.Instant(data, q, 600_000, shared)))];
        string[] alone = [.. queries.Select(q => Text(engine.Instant(data, q, 600_000)))];
        long before = data.Reads;
        Assert.Equal(alone, Ask());
        Assert.Equal(2, data.Reads - before);
        Assert.Equal(2, shared.Hits);
        data.Add(Labels.Of("__name__", "v_total", "s", "2"), 600_000, 4);
        shared.Reset();
        Assert.Equal([.. queries.Select(q => Text(engine.Instant(data, q, 600_000)))], Ask());
    }

    private static string Text(QueryResult result) => result.Error?.Message
        ?? string.Join("\n", result.Series.Select(s => $"{s.Labels} {string.Join(" ", s.Points.Select(p => $"{p.TimestampMs}={BitConverter.DoubleToUInt64Bits(p.Value):x}"))}").Concat(result.Warnings).Concat(result.Infos));

    /// <summary>Series in memory that say what has changed.</summary>
    private sealed class ChangingSeries : ISeriesReader, IChangeLog
    {
        private readonly MemorySeries _series = new();
        private readonly List<long> _times = [];

        public long Reads { get; private set; }

        public long OldestRead { get; set; } = long.MaxValue;

        public void Add(Labels labels, long timeMs, double value)
        {
            _series.Add(labels, timeMs, value);
            _times.Add(timeMs);
        }

        public long TakeMark() => _times.Count;

        public long OldestChangeSince(long mark) => _times.Skip((int)mark).DefaultIfEmpty(long.MaxValue).Min();

        public bool Covers(IReadOnlyList<LabelMatcher> matchers) => true;

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
        {
            Reads++;
            OldestRead = Math.Min(OldestRead, fromMs);
            return _series.Select(fromMs, toMs, matchers, cancellation);
        }

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => _series.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => _series.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => _series.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => _series.AllMetadata();
    }
}
