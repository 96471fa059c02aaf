using System.Diagnostics.Metrics;
using Bellwether.Aggregator.Tests.Store;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Evaluate.Rules.Healing;

public sealed class RevisionReaderTests : IDisposable
{
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("revision-reader-tests");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Results_that_are_kept_are_evaluated_again_from_a_revision_on_and_only_from_there()
    {
        using StoreEngine store = StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0 }, new MemoryDisk(), _time, new Random(1), _meter, NullLogger.Instance);
        long from = _time.NowMs - 3_600_000, to = _time.NowMs;
        Labels series = Labels.Of("__name__", "ratio", "id", "1");
        for (long t = from; t <= to; t += 60_000)
            Append(store, series, t, t - from);
        var counting = new Counting(store.Reader);
        var reader = new RevisionReader(counting);
        var engine = new PromQlEngine(new EngineOptions(), _time);
        Range(engine, reader);
        long corrected = from + 1_800_000;
        Append(store, Revision.Make(series, 1), corrected, 7);
        counting.OldestRead = long.MaxValue;
        QueryResult kept = Range(engine, reader), plain = Range(new PromQlEngine(new EngineOptions { Plain = true }, _time), new RevisionReader(store.Reader));
        Assert.Equal(corrected - 300_000 + 1, counting.OldestRead);
        Assert.Equal(plain.Series[0].Points, kept.Series[0].Points);
        Assert.Contains(kept.Series[0].Points, p => p.Value == 14);

        QueryResult Range(PromQlEngine by, ISeriesReader of) => by.Range(of, "ratio * 2", from, to, 60_000);
    }

    private static void Append(StoreEngine store, Labels labels, long timeMs, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(labels, timeMs, value));
        store.AppendBatch(batch);
    }

    private sealed class Counting(ISeriesReader inner) : ISeriesReader, IChangeLog
    {
        public long OldestRead { get; set; } = long.MaxValue;

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
        {
            OldestRead = Math.Min(OldestRead, fromMs);
            return inner.Select(fromMs, toMs, matchers, cancellation);
        }

        public long TakeMark() => ((IChangeLog)inner).TakeMark();

        public long OldestChangeSince(long mark) => ((IChangeLog)inner).OldestChangeSince(mark);

        public bool Covers(IReadOnlyList<LabelMatcher> matchers) => ((IChangeLog)inner).Covers(matchers);

        IReadOnlyList<string> ISeriesReader.LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => inner.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
            inner.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => inner.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => inner.AllMetadata();
    }
}
