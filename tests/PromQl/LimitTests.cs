using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Kit;
using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>What ends a query early: time, its caller, the samples that it holds.</summary>
public sealed class LimitTests
{
    private readonly VirtualTime _time = new();
    private readonly MemorySeries _series = new();

    public LimitTests()
    {
        for (int s = 0; s < 10; s++)
        {
            for (int i = 0; i <= 60; i++)
                _series.Add(Labels.Of("__name__", "v", "s", s.ToString(CultureInfo.InvariantCulture)), i * 1000, i);
        }
    }

    [Fact]
    public void What_no_query_should_do_fails_that_query_alone_and_is_told()
    {
        (string Query, Exception Failure)? told = null;
        var engine = new PromQlEngine(new EngineOptions { OnUnexpected = (query, e) => told = (query, e) }, _time);
        var broken = new Watched(_series, () => throw new InvalidOperationException("broken"));
        QueryResult result = engine.Instant(broken, "sum(v)", 60_000);
        Assert.Equal((QueryErrorKind.Internal, "unexpected error: broken"), (result.Error!.Kind, result.Error.Message));
        Assert.Equal(("sum(v)", "broken"), (told!.Value.Query, told.Value.Failure.Message));
        Assert.Equal(600, engine.Instant(_series, "sum(v)", 60_000).Series[0].Points[0].Value);
    }

    [Fact]
    public void Queries_that_hold_too_much_together_fail_clearly_and_small_ones_and_later_ones_do_not()
    {
        var engine = new PromQlEngine(new EngineOptions { MaxSamples = 5_000_000, MaxSamplesTogether = 5_000_000 }, _time);
        // Holds 1.6 million points of its left side while the right side is read: at that moment the same is asked again.
        const string Large = "max_over_time((v{s=\"1\"} * on () v{s=\"2\"})[1600000s:1s])";
        var inner = new List<QueryResult>();
        QueryResult? small = null;
        int selects = 0;
        Watched watched = null!;
        watched = new Watched(_series, () =>
        {
            if (++selects == 12)
                small = engine.Instant(_series, "sum(rate(v[10s]))", 60_000);
            if (selects % 2 == 0 && selects < 20)
                inner.Add(engine.Instant(watched, Large, 60_000));
        });
        Assert.Null(engine.Instant(watched, Large, 60_000).Error);
        Assert.Contains(inner, r => r.Error is { Kind: QueryErrorKind.Execution } error && error.Message == "queries would hold too many samples in memory together (limit 5000000): ask for less, or again when others are done");
        Assert.Null(small!.Error);
        for (int i = 0; i < 4; i++)
            Assert.Null(engine.Instant(_series, Large, 60_000).Error);
        var budget = new Bellwether.Evaluate.PromQl.Evaluation.SampleBudget(2_000_000);
        long one = 0, two = 0, three = 0;
        Assert.True(budget.TryHold(2_600_000, ref one));
        Assert.False(budget.TryHold(1_500_000, ref two));
        Assert.True(budget.TryHold(900_000, ref three));
        budget.GiveBack(ref one);
        Assert.True(budget.TryHold(1_500_000, ref two));
        Assert.Equal((0, 500_000, 0), (one, two, three));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Edges_and_slots_are_read_only_as_long_as_their_results_may_be_held(bool areSlots)
    {
        // 400 series of 11,000 steps.
        const long Step = 1_200_000, End = (PromQlEngine.MaxSteps - 1) * Step;
        var data = new ManySeries(400, areSlots);
        QueryError? Ask(PromQlEngine engine)
        {
            data.Read = 0;
            return engine.Range(data, "rate(v_total[3h])", 0, End, Step).Error;
        }
        QueryError? alone = Ask(new PromQlEngine(new EngineOptions { MaxSamples = 1_000_000 }, _time));
        Assert.Equal("query processing would load too many samples into memory (limit 1000000)", alone!.Message);
        Assert.InRange(data.Read, 80, 93);
        var engine = new PromQlEngine(new EngineOptions { MaxSamples = 5_000_000, MaxSamplesTogether = 5_000_000 }, _time);
        long others = 0;
        Assert.True(engine.Budget.TryHold(5_800_000, ref others));
        Assert.Equal(5_000_000, engine.SamplesHeld);
        QueryError? beside = Ask(engine);
        Assert.Equal("queries would hold too many samples in memory together (limit 5000000): ask for less, or again when others are done", beside!.Message);
        Assert.InRange(data.Read, 80, 93);
        // A prepared one, as rules are, is not refused, and counts.
        long most = 0;
        data.OnRead = () => most = Math.Max(most, engine.SamplesHeld);
        Assert.Null(engine.Range(data, engine.Prepare("rate(v_total[3h])"), 0, End, Step).Error);
        Assert.True(most > 7_000_000, $"{most}");
        Assert.Equal(5_000_000, engine.SamplesHeld);
        engine.Budget.GiveBack(ref others);
        Assert.Null(Ask(engine));
        Assert.Equal((400, 0), (data.Read, engine.SamplesHeld));
    }

    [Fact]
    public void A_prepared_query_of_two_series_allocates_next_to_nothing()
    {
        var engine = new PromQlEngine(new EngineOptions(), _time);
        var data = new TwoSeries();
        PreparedQuery query = engine.Prepare("sum(rate(v_total[5m])) / sum(rate(v_total[5m]))");
        long Ask()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.Null(engine.Instant(data, query, 300_000).Error);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Ask();
        // Two buffers of samples would be more than that.
        Assert.InRange(Enumerable.Range(0, 20).Min(_ => Ask()), 0, 6_000);
    }

    [Theory]
    [InlineData("v")]
    [InlineData("sum(v)")]
    [InlineData("rate(v[10s])")]
    [InlineData("max_over_time(sum(v)[30s:1s])")]
    [InlineData("v + on (s) v")]
    [InlineData("v[10s]")]
    public void A_query_that_takes_longer_than_its_time_out_ends_with_that_error(string query)
    {
        var engine = new PromQlEngine(new EngineOptions { Timeout = TimeSpan.FromSeconds(1) }, _time);
        Assert.Null(engine.Instant(new Watched(_series, () => _time.Advance(TimeSpan.FromMilliseconds(10))), query, 60_000).Error);
        QueryResult result = engine.Instant(new Watched(_series, () => _time.Advance(TimeSpan.FromMilliseconds(1001))), query, 60_000);
        Assert.Equal(QueryErrorKind.Timeout, result.Error?.Kind);
        Assert.Equal("query timed out in expression evaluation", result.Error!.Message);
    }

    [Theory]
    [InlineData("mad_over_time(v{s=\"0\"}[30s])")]
    [InlineData("mad_over_time(v{s=\"0\"}[30s:1s])")]
    [InlineData("topk(1, v)")]
    [InlineData("count_values(\"x\", v)")]
    public void A_query_of_many_steps_looks_at_its_time_within_a_series_too(string query)
    {
        var engine = new PromQlEngine(new EngineOptions { Timeout = TimeSpan.FromSeconds(40), Experimental = true }, new TickingTime());
        Assert.Null(engine.Range(_series, query, 0, 60_000, 1000).Error);
        Assert.Equal(QueryErrorKind.Timeout, engine.Range(_series, query, 0, 999_000, 1000).Error?.Kind);
    }

    [Theory]
    [InlineData("v")]
    [InlineData("sum(v)")]
    [InlineData("rate(v[10s])")]
    [InlineData("max_over_time(sum(v)[30s:1s])")]
    [InlineData("v[10s]")]
    public void A_query_that_nobody_waits_for_ends(string query)
    {
        var engine = new PromQlEngine(new EngineOptions(), _time);
        using var before = new CancellationTokenSource();
        before.Cancel();
        Assert.Equal(QueryErrorKind.Canceled, engine.Range(_series, query == "v[10s]" ? "v" : query, 0, 60_000, 1000, before.Token).Error?.Kind);
        using var during = new CancellationTokenSource();
        QueryResult result = engine.Instant(new Watched(_series, during.Cancel), query, 60_000, during.Token);
        Assert.Equal(QueryErrorKind.Canceled, result.Error?.Kind);
        Assert.Empty(result.Series);
    }

    [Theory]
    [InlineData("1", "+")]
    [InlineData("a", "+")]
    [InlineData("a", " or ")]
    [InlineData("a", ">")]
    public void A_chain_of_thousands_of_operators_is_an_outcome_and_never_the_end_of_the_program(string operand, string op)
    {
        string query = string.Join(op, Enumerable.Repeat(operand, 16_000 / (operand.Length + op.Length)));
        QueryResult? result = null;
        var small = new Thread(() => result = new PromQlEngine(new EngineOptions(), new VirtualTime()).Instant(new SeriesInMemory(), query, 0), 1536 * 1024);
        small.Start();
        small.Join();
        Assert.Equal(QueryErrorKind.BadData, result!.Error!.Kind);
        Assert.Contains("limit of 1000 binary operators", result.Error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void As_many_operators_as_may_be_are_evaluated_and_written()
    {
        string query = string.Join(" + ", Enumerable.Repeat("1", 1001));
        QueryResult? result = null;
        string written = "";
        var small = new Thread(() =>
        {
            result = new PromQlEngine(new EngineOptions(), _time).Instant(_series, query, 0);
            written = PromQlParser.Parse(query, ParserOptions.Default).Expr!.ToString();
        }, 1536 * 1024);
        small.Start();
        small.Join();
        Assert.Equal(1001, result!.Scalar.Value);
        Assert.Equal(query, written);
    }

    [Fact]
    public void A_range_over_all_of_time_is_refused()
    {
        QueryResult result = new PromQlEngine(new EngineOptions(), new VirtualTime()).Range(new SeriesInMemory(), "1", long.MinValue, long.MaxValue, 1);
        Assert.Equal(QueryErrorKind.BadData, result.Error!.Kind);
        Assert.Equal(QueryErrorKind.BadData, new PromQlEngine(new EngineOptions(), new VirtualTime()).Range(new SeriesInMemory(), "1", -9_000_000_000_000_000_000, 9_000_000_000_000_000_000, 1000).Error!.Kind);
    }

    [Fact]
    public void A_reader_that_gives_up_when_cancelled_is_a_cancelled_query()
    {
        var engine = new PromQlEngine(new EngineOptions(), _time);
        using var stop = new CancellationTokenSource();
        var reader = new Watched(_series, () =>
        {
            stop.Cancel();
            stop.Token.ThrowIfCancellationRequested();
        });
        Assert.Equal(QueryErrorKind.Canceled, engine.Instant(reader, "v", 0, stop.Token).Error?.Kind);
    }

    // 10 series; a selector or a result holds one point per series and step, a range its samples.
    [Theory]
    [InlineData("v", 1, 10)]
    [InlineData("v", 61, 610)]
    [InlineData("abs(v)", 1, 20)]
    // What stands still stands at every step.
    [InlineData("v @ 60", 61, 620)]
    [InlineData("time() + (time() + (time() + time()))", 61, 5 * 61)]
    // What the operands held is let go: no more at the end of the row than at its start.
    [InlineData("abs(abs(abs(abs(v))))", 1, 20)]
    [InlineData("abs(v) + on (s) abs(v)", 1, 30)]
    [InlineData("sum(v) + sum(v) + sum(v) + sum(v)", 1, 12)]
    // The samples of one series at a time, beside the results before.
    [InlineData("count_over_time(v[20s])", 1, 29)]
    [InlineData("(v)", 1, 10)]
    public void A_query_may_hold_as_many_samples_as_the_limit_at_once(string query, int steps, long held)
    {
        long end = 60_000, start = end - ((steps - 1) * 1000);
        QueryError? Run(long limit) => new PromQlEngine(new EngineOptions { MaxSamples = limit }, _time).Range(_series, query, start, end, 1000).Error;
        Assert.Null(Run(held));
        QueryError? error = Run(held - 1);
        Assert.Equal(QueryErrorKind.Execution, error?.Kind);
        Assert.Contains($"too many samples into memory (limit {held - 1})", error!.Message, StringComparison.Ordinal);
    }

    // A histogram of 40 buckets: 104 bytes, spans 24 + 8, buckets 24 + 320, so 30 samples of 16 bytes.
    [Theory]
    [InlineData("h", 1, 1 + 30)]
    [InlineData("h", 61, 61 + (61 * 30))]
    // One that stands at many steps is one.
    [InlineData("h @ 60", 61, 61 + 30)]
    // The operand and the result.
    [InlineData("h + h", 1, 3 * 31)]
    [InlineData("sum(h)", 61, 2 * 61 * 31)]
    [InlineData("histogram_count(h)", 61, 61 + (61 * 31))]
    // Samples of the range, then the step.
    [InlineData("last_over_time(h[60s])", 1, 60 * 31)]
    [InlineData("max_over_time(count(h)[30s:1s])", 1, (30 * 31) + 30)]
    public void A_native_histogram_counts_by_its_size(string query, int steps, long held)
    {
        var series = new MemorySeries();
        for (int i = 0; i <= 60; i++)
        {
            double[] buckets = new double[40];
            Array.Fill(buckets, i + 1);
            series.Add(Labels.Of("__name__", "h"), i * 1000, 0, new NativeHistogram { Schema = 3, Count = 40 * i, Sum = i, PositiveSpans = [new BucketSpan(0, 40)], PositiveBuckets = buckets });
        }
        long end = 60_000, start = end - ((steps - 1) * 1000), most = 0;
        foreach (bool plain in (bool[])[false, true])
        {
            QueryError? Run(long limit) => new PromQlEngine(new EngineOptions { MaxSamples = limit, Plain = plain }, _time).Range(series, query, start, end, 1000).Error;
            // The fast path and the plain one hold differently many: never less than is said, never more than the result beside it.
            long low = 1, high = 1 << 20;
            while (low < high)
            {
                long middle = (low + high) / 2;
                (low, high) = Run(middle) is null ? (low, middle) : (middle + 1, high);
            }
            Assert.InRange(low, held, held + (steps * 31L) + 1);
            most = Math.Max(most, low);
            Assert.Equal($"query processing would load too many samples into memory (limit {low - 1})", Run(low - 1)!.Message);
        }
        var beside = new PromQlEngine(new EngineOptions { MaxSamples = most, MaxSamplesTogether = most }, _time);
        Assert.Null(beside.Range(series, query, start, end, 1000).Error);
    }

    [Fact]
    public void The_size_of_a_histogram_is_what_it_takes()
    {
        var kept = new NativeHistogram[1000];
        foreach (int count in (int[])[0, 4, 160])
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < kept.Length; i++)
            {
                kept[i] = count == 0
                    ? new NativeHistogram { Count = i }
                    : new NativeHistogram { Count = i, PositiveSpans = [new BucketSpan(i, count)], PositiveBuckets = new double[count], NegativeSpans = [new BucketSpan(1, 1), new BucketSpan(1, 1)], NegativeBuckets = new double[2] };
            }
            double taken = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)kept.Length;
            Assert.InRange(kept[0].SizeInMemory, taken * 7 / 8, taken * 9 / 8);
        }
    }

    [Fact]
    public void Kept_results_and_shared_values_count_histograms_by_their_size()
    {
        var histogram = new NativeHistogram { PositiveSpans = [new BucketSpan(0, 40)], PositiveBuckets = new double[40] };
        var points = Enumerable.Range(0, 10).Select(i => new Point(i, 0, i < 5 ? histogram : new NativeHistogram())).ToList();
        // 30 once and 7 five times, the points, and what a series takes.
        Assert.Equal(30 + (5 * 7) + 10 + 8, new RangeCache.Extent(0, 9, 0, [new ResultSeries(Labels.Empty, points)]).Points);
    }

    [Theory]
    [InlineData("label_replace(", ", \"x\", \"$1$1$1$1$1$1$1$1\", \"x\", \"(.*)\")", 30)]
    [InlineData("label_join(", ", \"x\", \"--------\", \"x\", \"x\", \"x\", \"x\", \"x\", \"x\")", 40)]
    [InlineData("label_replace(", ", \"x\", \"LONG\", \"x\", \"(.*)\")", 2)]
    public void Label_text_that_a_query_makes_is_bounded(string before, string after, int times)
    {
        after = after.Replace("LONG", string.Concat(Enumerable.Repeat("$1", 4000)), StringComparison.Ordinal);
        string query = string.Concat(Enumerable.Repeat(before, times)) + "label_replace(v, \"x\", \"" + new string('a', 1000) + "\", \"\", \"\")" + string.Concat(Enumerable.Repeat(after, times));
        var engine = new PromQlEngine(new EngineOptions { MaxSamples = 1_000_000, MaxQueryLength = 100_000 }, _time);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        QueryResult result = engine.Instant(_series, query, 60_000);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Assert.Equal(QueryErrorKind.Execution, result.Error?.Kind);
        Assert.Equal("the query makes label values of more than 8000000 characters in all (8 for each sample that a query may hold)", result.Error!.Message);
        // Builders and their texts: some times the 16 MB of 8 million characters.
        Assert.InRange(allocated, 0, 150_000_000);
    }

    [Fact]
    public void Values_that_are_counted_are_bounded_while_they_are_counted()
    {
        var engine = new PromQlEngine(new EngineOptions { MaxSamples = 1_000_000 }, _time);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        // 10,000 steps with a value of their own each: as many series of 10,000 steps.
        QueryResult result = engine.Range(_series, "count_values(\"x\", vector(time()))", 0, 9_999_000, 1000);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        Assert.Equal("query processing would load too many samples into memory (limit 1000000)", result.Error?.Message);
        Assert.InRange(allocated, 0, 30_000_000);
        Assert.Equal(500, engine.Range(_series, "count_values(\"x\", vector(time()))", 0, 499_000, 1000).Series.Count);
    }

    [Fact]
    public void A_query_may_look_back_as_far_as_it_says()
    {
        var engine = new PromQlEngine(new EngineOptions(), _time);
        Assert.Equal(10, engine.Instant(_series, "v", 62_000).Series.Count);
        Assert.Empty(engine.Instant(_series, "v", 62_000, new AskOptions(TimeSpan.FromSeconds(2))).Series);
        Assert.Equal(10, engine.Instant(_series, "v", 62_000, new AskOptions(TimeSpan.FromMilliseconds(2001))).Series.Count);
        Assert.Empty(engine.Instant(_series, "v", 3_600_000).Series);
        Assert.Equal(10, engine.Instant(_series, "v", 3_600_000, new AskOptions(TimeSpan.FromHours(1))).Series.Count);
        // Not from what is kept of other queries.
        Assert.Equal(301, engine.Range(_series, "sum(v)", 59_000, 400_000, 1000).Series[0].Points.Count);
        Assert.Equal(4, engine.Range(_series, "sum(v)", 59_000, 400_000, 1000, new AskOptions(TimeSpan.FromSeconds(3))).Series[0].Points.Count);
        Assert.Equal(301, engine.Range(_series, "sum(v)", 59_000, 400_000, 1000).Series[0].Points.Count);
    }

    [Fact]
    public void Too_many_steps_and_wrong_ranges_are_refused_before_anything_is_read()
    {
        var engine = new PromQlEngine(new EngineOptions(), _time);
        var reader = new Watched(_series, () => Assert.Fail("it was read"));
        Assert.Equal(QueryErrorKind.BadData, engine.Range(reader, "v", 0, PromQlEngine.MaxSteps, 1).Error?.Kind);
        Assert.Equal(QueryErrorKind.BadData, engine.Range(reader, "v", 1, 0, 1).Error?.Kind);
        Assert.Equal(QueryErrorKind.BadData, engine.Range(reader, "v", 0, 1, 0).Error?.Kind);
        Assert.Equal(QueryErrorKind.BadData, engine.Range(reader, "v[1m]", 0, 1, 1).Error?.Kind);
        Assert.Equal(QueryErrorKind.BadData, engine.Instant(reader, new string('1', 20_000), 0).Error?.Kind);
    }

    /// <summary>A reader that does something at every selection.</summary>
    private sealed class Watched(ISeriesReader inner, Action onSelect) : ISeriesReader
    {
        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
        {
            onSelect();
            return inner.Select(fromMs, toMs, matchers, CancellationToken.None);
        }

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => inner.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();
    }

    /// <summary>Counters of which the edges of windows are read, or that may be slots; it counts how many series are.</summary>
    private sealed class ManySeries(int count, bool areSlots) : ISeriesReader
    {
        public int Read { get; set; }

        public Action OnRead { get; set; } = () => { };

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => areSlots ? new Slots(this, count) : new Edges(this, count);

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => [];

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => [];

        public MetricMetadata? Metadata(string family) => null;

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => new Dictionary<string, MetricMetadata>();

        private abstract class Set(ManySeries owner, int count) : ISeriesSet
        {
            public int Count => count;

            public Labels LabelsAt(int index) => Labels.Of("__name__", "v_total", "s", index.ToString(CultureInfo.InvariantCulture));

            public void Read(int index, SampleBuffer into)
            {
                owner.Read++;
                owner.OnRead();
                into.Clear();
                for (int i = 0; i < 10; i++)
                    into.Add(i * 600_000, i);
            }

            public void Dispose()
            {
            }
        }

        private sealed class Slots(ManySeries owner, int count) : Set(owner, count), ICoarseSeriesSet
        {
            public long ResolutionMs => 300_000;

            public void Read(int index, SampleBuffer samples, List<CoarseSlot> slots)
            {
                slots.Clear();
                Read(index, samples);
            }
        }

        private sealed class Edges(ManySeries owner, int count) : Set(owner, count), IEdgeSeriesSet
        {
            public bool TryReadEdges(int index, in WindowCuts cuts, SampleBuffer samples, List<long> ordinals)
            {
                Read(index, samples);
                ordinals.Clear();
                for (int i = 0; i < samples.Count; i++)
                    ordinals.Add(i);
                return true;
            }
        }
    }

    private sealed class TwoSeries : ISeriesReader, ISeriesSet
    {
        private readonly Labels[] _labels = [Labels.Of("__name__", "v_total", "s", "1"), Labels.Of("__name__", "v_total", "s", "2")];

        public int Count => 2;

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => this;

        public Labels LabelsAt(int index) => _labels[index];

        public void Read(int index, SampleBuffer into)
        {
            into.Clear();
            for (long t = 15_000; t <= 300_000; t += 15_000)
                into.Add(t, t * (index + 1));
        }

        public void Dispose()
        {
        }

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => [];

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => [];

        public MetricMetadata? Metadata(string family) => null;

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => new Dictionary<string, MetricMetadata>();
    }

    /// <summary>A second goes by each time that somebody looks.</summary>
    private sealed class TickingTime : TimeProvider
    {
        private long _looks;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => ++_looks;
    }
}
