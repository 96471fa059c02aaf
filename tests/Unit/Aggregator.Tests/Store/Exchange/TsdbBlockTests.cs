using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Exchange;

namespace Bellwether.Aggregator.Tests.Store.Exchange;

/// <summary>Blocks of Prometheus that we write and read; the real programs read and write them in tests/EndToEnd.</summary>
public sealed class TsdbBlockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-tsdb-").FullName;
    private readonly Random _random = new(20261121);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_is_written_is_read_to_the_bit()
    {
        for (int round = 0; round < 20; round++)
        {
            SortedDictionary<Labels, List<SeriesSample>> series = RandomSeries();
            string block = Write(series);
            AssertSame(series, ReadAll(block, out long problems));
            Assert.Equal(0, problems);
        }
    }

    [Fact]
    public void An_altered_byte_or_a_cut_is_told_and_never_gives_a_wrong_sample()
    {
        SortedDictionary<Labels, List<SeriesSample>> series = RandomSeries(samplesMax: 150);
        string block = Write(series);
        Dictionary<Labels, Dictionary<long, SeriesSample>> good = series.ToDictionary(s => s.Key, s => s.Value.ToDictionary(x => x.TimestampMs));
        int told = 0, tried = 0;
        foreach (string file in new[] { "index", "chunks/000001", "tombstones", "meta.json" }.Select(f => Path.Combine(block, f)))
        {
            byte[] whole = File.ReadAllBytes(file);
            for (int i = 0; i < 150; i++, tried++)
            {
                byte[] broken = [.. whole];
                broken[_random.Next(whole.Length)] ^= (byte)(1 << _random.Next(8));
                File.WriteAllBytes(file, i % 5 == 4 ? whole[.._random.Next(whole.Length)] : broken);
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    List<SeriesSample> read = ReadAll(block, out long problems);
                    foreach (SeriesSample sample in read)
                        Assert.True(Same(good[sample.Labels][sample.TimestampMs], sample), $"{file}: {sample}");
                    told += problems > 0 ? 1 : 0;
                }
                catch (InvalidDataException e)
                {
                    told++;
                    Assert.Contains(block, e.Message, StringComparison.Ordinal);
                }
                Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 << 20, "a damaged file must not make the reader reserve what it does not hold");
            }
            File.WriteAllBytes(file, whole);
        }
        Assert.True(told > tried * 2 / 3, $"{told} of {tried}");
    }

    [Fact]
    public void A_wrong_beginning_and_another_version_say_what_would_be_right()
    {
        string block = Write(RandomSeries());
        string index = Path.Combine(block, "index");
        byte[] whole = File.ReadAllBytes(index);
        File.WriteAllBytes(index, [1, 2, 3, 4, .. whole.AsSpan(4)]);
        Assert.Contains("index, byte 0: it does not begin as an index (01020304; BAAAD700 would be right)", Refused(block), StringComparison.Ordinal);
        File.WriteAllBytes(index, [.. whole.AsSpan(0, 4), 1, .. whole.AsSpan(5)]);
        Assert.Contains("index, byte 4: version 1 of the index is not read, 2 is", Refused(block), StringComparison.Ordinal);
        File.WriteAllBytes(index, whole[..20]);
        Assert.Contains("it has 20 bytes and is cut short", Refused(block), StringComparison.Ordinal);
        File.WriteAllBytes(index, whole);
        File.WriteAllText(Path.Combine(block, "meta.json"), "{\"version\": 2}");
        Assert.Contains("meta.json: it is not of version 1", Refused(block), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_import_that_was_broken_off_goes_on_where_it_was_and_ends_with_every_sample_once()
    {
        SortedDictionary<Labels, List<SeriesSample>> series = RandomSeries(seriesCount: 60, samplesMax: 3000);
        string block = Write(series);
        var disk = new OsDisk();
        var got = new List<SeriesSample>();
        int appends = 0, runs = 0, repeated = 0;
        for (bool isDone = false; !isDone; runs++)
        {
            var ledger = new ImportLedger(disk, _folder);
            using TsdbImportSource source = TsdbImportSource.Open(disk, block, ledger.PositionOf);
            try
            {
                await StoreImport.RunAsync(source, (batch, _) =>
                {
                    if (appends++ % 3 == 2)
                        throw new StoreUnavailableException("the disk is full");
                    got.AddRange(batch.Samples);
                    return Task.FromResult(new AppendResult());
                }, ledger, new ImportResult(), (_, _) => { }, CancellationToken.None);
                isDone = true;
            }
            catch (StoreUnavailableException)
            {
                repeated++;
            }
        }
        Assert.True(runs > 1 && repeated == runs - 1);
        Assert.Equal(ImportLedger.Done, new ImportLedger(disk, _folder).PositionOf("block " + Path.GetFileName(block)));
        long expected = series.Values.Sum(s => s.Count);
        Assert.Equal(expected, got.Select(s => (s.Labels, s.TimestampMs)).Distinct().Count());
        // A series that was begun is read again from its beginning, no more.
        Assert.True(got.Count < expected + (repeated * 3000), $"{got.Count} of {expected}");
    }

    private static string Refused(string block) => Assert.Throws<InvalidDataException>(() => ReadAll(block, out _)).Message;

    private static List<SeriesSample> ReadAll(string block, out long problems)
    {
        using TsdbImportSource source = TsdbImportSource.Open(new OsDisk(), block, _ => null);
        var all = new List<SeriesSample>();
        var batch = new SampleBatch();
        while (source.Next(batch))
        {
            all.AddRange(batch.Samples);
            batch = new SampleBatch();
        }
        problems = source.ProblemCount;
        return all;
    }

    private static void AssertSame(SortedDictionary<Labels, List<SeriesSample>> expected, List<SeriesSample> got)
    {
        List<SeriesSample> all = [.. expected.SelectMany(s => s.Value)];
        Assert.Equal(all.Count, got.Count);
        for (int i = 0; i < all.Count; i++)
            Assert.True(all[i].Labels.Equals(got[i].Labels) && Same(all[i], got[i]), $"{i}: {all[i]} is read as {got[i]}");
    }

    // Hints are what a chunk says of its first histogram, and may be less than what was known.
    private static bool Same(SeriesSample a, SeriesSample b) => a.TimestampMs == b.TimestampMs && (a.Histogram is null
        ? b.Histogram is null && BitConverter.DoubleToInt64Bits(a.Value) == BitConverter.DoubleToInt64Bits(b.Value)
        : b.Histogram is not null && Plain(a.Histogram).SameAs(Plain(b.Histogram)));

    private static NativeHistogram Plain(NativeHistogram h) => new()
    {
        Schema = h.Schema,
        ZeroThreshold = h.ZeroThreshold,
        ZeroCount = h.ZeroCount,
        Count = h.Count,
        Sum = h.Sum,
        PositiveSpans = h.PositiveSpans,
        PositiveBuckets = h.PositiveBuckets,
        NegativeSpans = h.NegativeSpans,
        NegativeBuckets = h.NegativeBuckets,
        CustomValues = h.CustomValues,
        IsInteger = h.IsInteger,
        ResetHint = h.ResetHint == CounterResetHint.Gauge ? CounterResetHint.Gauge : CounterResetHint.Unknown,
    };

    private string Write(SortedDictionary<Labels, List<SeriesSample>> series)
    {
        HashSet<string> symbols = [.. series.Keys.SelectMany(l => l.AsSpan().ToArray()).SelectMany(l => new[] { l.Name, l.Value })];
        using var writer = new TsdbBlockWriter(new OsDisk(), _folder, symbols, 1_795_000_000_000, _random);
        foreach ((Labels labels, List<SeriesSample> samples) in series)
        {
            var buffer = new SampleBuffer();
            foreach (SeriesSample sample in samples)
            {
                if (sample.Histogram is { } histogram)
                    buffer.Add(sample.TimestampMs, histogram);
                else
                    buffer.Add(sample.TimestampMs, sample.Value);
            }
            writer.Add(labels, buffer);
        }
        writer.Finish();
        return Path.Combine(_folder, writer.Ulid);
    }

    private SortedDictionary<Labels, List<SeriesSample>> RandomSeries(int seriesCount = 12, int samplesMax = 400)
    {
        var series = new SortedDictionary<Labels, List<SeriesSample>>();
        for (int s = 0; s < seriesCount; s++)
        {
            Labels labels = Labels.Of("__name__", "m" + (s % 3), "i", $"ü{s}", "zone", s % 2 == 0 ? "a" : "b\n\"");
            long time = _random.NextInt64(-1_000_000_000_000, 2_000_000_000_000);
            int kind = _random.Next(5);
            int count = 1 + _random.Next(samplesMax);
            var samples = new List<SeriesSample>(count);
            for (int i = 0; i < count; i++)
            {
                time += _random.Next(10) == 0 ? _random.NextInt64(1, 1L << _random.Next(1, 40)) : 15_000 + _random.Next(3);
                bool isHistogram = kind >= 2 && _random.Next(50) != 0;
                samples.Add(isHistogram ? new SeriesSample(labels, time, 0, RandomHistogram(kind, i)) : new SeriesSample(labels, time, RandomValue(kind, i)));
            }
            series.Add(labels, samples);
        }
        return series;
    }

    private double RandomValue(int kind, int i) => _random.Next(20) switch
    {
        0 => SpecialValues.StaleMarker,
        1 => BitConverter.Int64BitsToDouble(_random.NextInt64(long.MinValue, long.MaxValue)),
        2 => double.NaN,
        3 => -0.0,
        4 => double.NegativeInfinity,
        _ => kind == 0 ? i : Math.Sin(i) * Math.Pow(10, _random.Next(-5, 5)),
    };

    private NativeHistogram RandomHistogram(int kind, int i)
    {
        if (_random.Next(40) == 0)
            return new NativeHistogram { Sum = SpecialValues.StaleMarker, IsInteger = kind != 3 };
        bool isCustom = kind == 4;
        int buckets = 1 + (i / 60 % 4);
        double[] Counts() => [.. Enumerable.Range(0, buckets).Select(b => (double)((i % 100 * (b + 1)) + (_random.Next(30) == 0 ? 0 : 50)))];
        double[] positive = Counts(), negative = isCustom ? [] : Counts();
        double scale = kind == 3 ? 0.37 : 1;
        positive = [.. positive.Select(c => c * scale)];
        negative = [.. negative.Select(c => c * scale)];
        return new NativeHistogram
        {
            Schema = isCustom ? NativeHistogram.CustomBucketsSchema : 3,
            ZeroThreshold = isCustom ? 0 : i / 150 % 3 switch { 0 => 0, 1 => Math.ScaleB(1, -128), _ => 0.001 },
            ZeroCount = isCustom ? 0 : 7 * scale,
            Count = positive.Sum() + negative.Sum() + 7,
            Sum = Math.Cos(i),
            PositiveSpans = [new BucketSpan(-3, buckets)],
            PositiveBuckets = positive,
            NegativeSpans = negative.Length == 0 ? [] : [new BucketSpan(2, 1), .. buckets > 1 ? new[] { new BucketSpan(5, buckets - 1) } : []],
            NegativeBuckets = negative,
            CustomValues = isCustom ? [0.005, 0.1, 1.0 / 3, 33554.43, 40000] : [],
            ResetHint = kind == 2 && i > 200 ? CounterResetHint.Gauge : CounterResetHint.Unknown,
            IsInteger = kind != 3,
        };
    }
}
