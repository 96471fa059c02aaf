using System.Text;
using Bellwether.Core.Model;
using Bellwether.Serve.RemoteWrite;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>Label sets that come in the same bytes again are not read again, and nothing else is taken for them.</summary>
public sealed class SeriesCacheTests
{
    private readonly Dictionary<Labels, Labels> _store = [];

    [Fact]
    public void A_request_that_comes_again_gives_the_stores_own_label_sets_without_allocating()
    {
        var writer = new WriteRequestWriter();
        for (int i = 0; i < 2_000; i++)
        {
            Labels labels = Series(i);
            _store.Add(Series(i), labels);
            writer.Add([new SeriesSample(labels, 1_000, i)]);
        }
        var reader = new WriteRequestReader(new RemoteWriteReceiveOptions(), new SeriesCache(l => _store.GetValueOrDefault(l)));
        var batch = new SampleBatch();
        // The cache grows in the first passes, and moves what it knows in the next.
        for (int pass = 0; pass < 4; pass++)
        {
            batch.Samples.Clear();
            reader.Read(writer.Bytes, batch);
        }
        batch.Samples.Clear();
        long before = GC.GetAllocatedBytesForCurrentThread();
        reader.Read(writer.Bytes, batch);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2_000, batch.Samples.Count);
        for (int i = 0; i < 2_000; i++)
        {
            Assert.Same(_store[Series(i)], batch.Samples[i].Labels);
            Assert.Equal(i, batch.Samples[i].Value);
        }
    }

    [Fact]
    public void What_the_store_does_not_have_is_read_anew_each_time()
    {
        var writer = new WriteRequestWriter();
        writer.Add([new SeriesSample(Series(1), 1_000, 1)]);
        int asked = 0;
        var reader = new WriteRequestReader(new RemoteWriteReceiveOptions(), new SeriesCache(_ => ++asked < 0 ? Labels.Empty : null));
        for (int pass = 0; pass < 3; pass++)
        {
            var batch = new SampleBatch();
            reader.Read(writer.Bytes, batch);
            Assert.Equal(Series(1), batch.Samples.Single().Labels);
        }
        Assert.Equal(3, asked);
    }

    [Fact]
    public void Sets_that_differ_in_one_byte_or_in_their_length_are_never_taken_for_one_another()
    {
        var cache = new SeriesCache(l => l);
        var sets = new Dictionary<string, Labels>();
        for (int length = 0; length < 70; length++)
        {
            for (int at = 0; at <= length; at++)
                sets[new string('a', at) + (at < length ? "b" + new string('a', length - at - 1) : "")] = Series((length * 100) + at);
        }
        foreach ((string text, Labels labels) in sets)
        {
            Assert.Null(cache.Find(Encoding.UTF8.GetBytes(text), out (ulong Slot, ulong Check) hash));
            cache.Remember(hash, labels);
        }
        // Zero bytes at the end are not the padding of a shorter text.
        Assert.Null(cache.Find("aaa\0"u8, out _));
        // What did not come while it grew twice is forgotten.
        int known = 0;
        foreach ((string text, Labels labels) in sets)
        {
            Labels? found = cache.Find(Encoding.UTF8.GetBytes(text), out _);
            Assert.True(found is null || ReferenceEquals(found, labels));
            known += found is null ? 0 : 1;
        }
        Assert.True(known > sets.Count / 2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Labels_behind_the_samples_belong_to_the_series_cached_or_not(bool isCached)
    {
        var cache = new SeriesCache(l => l);
        byte[] name = Label("__name__", "m"), job = Label("job", "j"), sample = [0x12, 0x0B, 0x09, .. BitConverter.GetBytes(7.0), 0x10, 0x05];
        var reader = new WriteRequestReader(new RemoteWriteReceiveOptions(), cache);
        var batch = new SampleBatch();
        if (isCached)
            reader.Read(Message([.. name, .. sample]), batch);
        batch.Samples.Clear();
        reader.Read(Message([.. name, .. sample, .. job]), batch);
        Assert.Equal(Labels.Of("__name__", "m", "job", "j"), batch.Samples.Single().Labels);
        batch.Samples.Clear();
        reader.Read(Message([.. name, .. sample]), batch);
        Assert.Equal(Labels.Of("__name__", "m"), batch.Samples.Single().Labels);
    }

    [Fact]
    public void A_set_that_is_not_valid_is_refused_each_time()
    {
        var reader = new WriteRequestReader(new RemoteWriteReceiveOptions(), new SeriesCache(l => l));
        byte[] sample = [0x12, 0x0B, 0x09, .. BitConverter.GetBytes(7.0), 0x10, 0x05];
        foreach (byte[] labels in new byte[][] { Label("job", "no name"), [.. Label("__name__", "m"), .. Label("__name__", "n")] })
        {
            for (int pass = 0; pass < 2; pass++)
            {
                var batch = new SampleBatch();
                WriteRequestReport report = reader.Read(Message([.. labels, .. sample]), batch);
                Assert.Equal(1, report.InvalidSamples);
                Assert.Empty(batch.Samples);
            }
        }
    }

    private static Labels Series(int i) => Labels.Of("__name__", "m" + (i % 7), "instance", "host-" + i, "job", "cache");

    private static byte[] Label(string name, string value)
    {
        byte[] n = Encoding.UTF8.GetBytes(name), v = Encoding.UTF8.GetBytes(value);
        return [0x0A, (byte)(n.Length + v.Length + 4), 0x0A, (byte)n.Length, .. n, 0x12, (byte)v.Length, .. v];
    }

    private static byte[] Message(byte[] series) => [0x0A, (byte)series.Length, .. series];
}
