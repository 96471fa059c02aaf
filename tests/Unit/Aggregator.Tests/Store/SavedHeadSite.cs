using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>A store with some of everything in memory, and ways to open it with its saved head and without.</summary>
public abstract class SavedHeadSite : StoreSite
{
    private protected const string HeadPath = "/store/head";

    private protected StoreOptions Options { get; } = new() { Folder = "/store", MinFreeBytes = 0, Partition = TimeSpan.FromMinutes(30), WalFileBytes = 8 << 10, MaxExemplarsPerSeries = 3 };

    private protected StoreEngine Open(IDisk disk, ISampleTap? tap = null) => StoreEngine.Open(Options, disk, Time, new Random(1), Meter, NullLogger.Instance, tap);

    // Opened on a copy, so that what opening does is not there for the next.
    private protected (string Content, OpenReport Report) Opened(MemoryDisk disk, StoreOptions options, bool withHead)
    {
        MemoryDisk copy = disk.Crash(new Random(1));
        if (!withHead)
            copy.Delete(HeadPath);
        using StoreEngine store = StoreEngine.Open(options, copy, Time, new Random(1), Meter, NullLogger.Instance);
        Assert.Equal(0, store.Opened.UnreadableFrames);
        return (Content(store), store.Opened);
    }

    // Some of everything: constants and changing values over several blocks, late samples, clashes, histograms, start times, exemplars, metadata, samples ahead of the clock, a series that ends.
    private protected void Fill(StoreEngine store, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            for (int tick = 0; tick < 20; tick++)
            {
                var batch = new SampleBatch();
                for (int i = 0; i < 6; i++)
                    batch.Samples.Add(new SeriesSample(Of(i), Time.NowMs + (i == 5 ? tick % 2 : 0), i == 0 ? 7 : i == 1 ? tick : (tick * i) / 7.0));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "start"), Time.NowMs, tick, null, Time.NowMs - 60_000));
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "histogram"), Time.NowMs, 0, Histogram(tick)));
                if (tick % 5 == 4)
                {
                    batch.Samples.Add(new SeriesSample(Of(2), Time.NowMs - 32_500, tick));
                    batch.Samples.Add(new SeriesSample(Of(3), Time.NowMs - 15_000, 1000 + tick));
                    batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "late"), Time.NowMs - (tick * 2_000), tick));
                    batch.Exemplars.Add((Of(1), new Exemplar(Labels.Of("trace", "exemplar" + tick.ToString(CultureInfo.InvariantCulture)), tick, Time.NowMs)));
                    batch.Metadata.Add(("m", new MetricMetadata(MetricType.Counter, "help " + (tick / 10).ToString(CultureInfo.InvariantCulture), "")));
                }
                store.AppendBatch(batch);
                store.Commit();
                Time.Advance(TimeSpan.FromSeconds(15));
            }
            var ahead = new Sender { Agent = "ahead-" + round.ToString(CultureInfo.InvariantCulture) };
            if (store.HeldSamples == 0)
                ahead.Send(store, Time.NowMs + 7_200_000, 1);
        }
    }

    private protected static Labels Of(int series) => Labels.Of("__name__", "m", "i", series.ToString(CultureInfo.InvariantCulture), "job", "shop");

    private protected static NativeHistogram Histogram(int tick) => new()
    {
        Schema = 2,
        ZeroThreshold = 0.001,
        ZeroCount = 1,
        Count = tick + 3,
        Sum = tick,
        PositiveSpans = [new BucketSpan(0, 2)],
        PositiveBuckets = [tick + 1, 1],
        IsInteger = true,
    };

    private protected static string Content(StoreEngine store)
    {
        var lines = new List<string>();
        using ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            lines.Add(set.LabelsAt(i).ToString());
            for (int s = 0; s < buffer.Count; s++)
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"  {buffer.Times[s]} {buffer.Values[s]:R} {buffer.StartTimeAt(s)} {buffer.HistogramAt(s)?.Count}"));
        }
        foreach ((Labels labels, IReadOnlyList<Exemplar> exemplars) in store.Exemplars(long.MinValue, long.MaxValue, [], CancellationToken.None))
            lines.AddRange(exemplars.Select(e => $"{labels} exemplar {e}"));
        lines.Add($"ahead {store.HeldSamples} memory {store.HeadSeries}");
        // By label values too, which the saved head holds apart.
        using ISeriesSet shop = store.Reader.Select(long.MinValue, long.MaxValue, [new LabelMatcher(MatchType.Equal, "job", "shop")], CancellationToken.None);
        lines.Add($"of the shop {shop.Count}");
        return string.Join('\n', lines);
    }

    private protected static SampleBuffer Samples(StoreEngine store, string name) => store.Reader.SeriesNamed(name);

    private protected sealed class Sender
    {
        private readonly SegmentEncoder _encoder = new();
        private readonly SourceTable _table = new("shop", 1000);
        private readonly SourceTick _tick = new();
        private ulong _sent;

        public Sender()
        {
            _encoder.StartSegment(false);
            for (int i = 0; i < 4; i++)
                _table.Add(Labels.Of("__name__", "shop" + i.ToString(CultureInfo.InvariantCulture)));
        }

        public static SegmentKey Key => new("web-1", 1, 1, 7);

        public string Agent { get; init; } = "web-1";

        public void Close(StoreEngine store)
        {
            Assert.True(store.ApplyRun(new RecordRun(Key with { Agent = Agent }, _sent, [], true)).Progress.Complete);
            store.Commit();
        }

        public void Send(StoreEngine store, long timeMs, int series = 4)
        {
            _tick.Begin(_table, timeMs);
            for (int i = 0; i < series; i++)
                _tick.Set(i, i + (double)_sent);
            _tick.Complete();
            Assert.Equal(EncodeOutcome.Encoded, _encoder.Encode(_tick));
            Assert.Equal(RunOutcome.Applied, store.ApplyRun(new RecordRun(Key with { Agent = Agent }, _sent++, [_encoder.Record.ToArray()], false)).Outcome);
            store.Commit();
        }
    }
}
