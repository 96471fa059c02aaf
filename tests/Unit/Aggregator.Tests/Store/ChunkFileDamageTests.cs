using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Every damage that a chunk file can come back with: the store opens, reads nothing wrong, keeps the bytes, and takes new samples.</summary>
public sealed class ChunkFileDamageTests : IDisposable
{
    private const int HeaderBytes = 16;
    private const string Chunks = "/store/chunks";
    private static readonly int s_flips = Environment.GetEnvironmentVariable("BELLWETHER_LONG") == "1" ? 20_000 : 300;
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("chunk-damage");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Whatever_happens_to_a_chunk_file_no_sample_is_wrong_and_its_bytes_are_kept()
    {
        FaultyDisk sound = Written(out Dictionary<(string, long), double> all);
        string path = Path.Combine(Chunks, Assert.Single(sound.List(Chunks), n => n.EndsWith(".chunks", StringComparison.Ordinal)));
        byte[] whole = sound.Content(path);
        int aside = 0, inPart = 0;
        foreach (Damage damage in Damages.Of(whole, HeaderBytes, s_flips, new Random(1)))
        {
            FaultyDisk disk = sound.Copy(new Random(1));
            disk.Put(path, damage.Content);
            using StoreEngine store = Open(disk);
            Dictionary<(string, long), double> found = Read(store);
            foreach (((string, long) key, double value) in found)
                Assert.True(all.TryGetValue(key, out double known) && known == value, $"{damage.What}: {key} is {value}, which nobody wrote");
            aside += store.Opened.QuarantinedFiles;
            inPart += store.Opened.QuarantinedFiles == 0 && found.Count < all.Count ? 1 : 0;
            string[] kept = [.. disk.List(Chunks).Select(n => Path.Combine(Chunks, n)), .. Folders(disk).SelectMany(f => disk.List(f).Select(n => Path.Combine(f, n)))];
            Assert.True(damage.Content.Length == 0 || kept.Any(p => disk.Content(p).AsSpan().SequenceEqual(damage.Content)), $"{damage.What}: the bytes are gone");
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "new"), _time.NowMs, 1));
            store.AppendBatch(batch);
            store.Commit();
        }
        Assert.True(aside > 10 && inPart > 10, $"{aside} times the file was put aside, {inPart} times a part was lost");
    }

    private static IEnumerable<string> Folders(FaultyDisk disk) => new[] { "/store/quarantine", "/store/chunks/quarantine" }.Where(f => disk.List(f).Count > 0);

    private FaultyDisk Written(out Dictionary<(string, long), double> all)
    {
        var disk = new FaultyDisk(new Random(1));
        using (StoreEngine store = Open(disk))
        {
            var batch = new SampleBatch();
            for (int i = 0; i < 60; i++)
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m" + (i % 6)), _time.NowMs + (i / 6 * 1000) + (i % 2), i * 1.5));
            store.AppendBatch(batch);
            store.Commit();
            _time.Advance(TimeSpan.FromHours(3));
            store.Maintain();
            all = Read(store);
            Assert.Equal(60, all.Count);
        }
        disk.Crash(onlyProcess: true);
        return disk;
    }

    private StoreEngine Open(FaultyDisk disk) => StoreEngine.Open(new StoreOptions { Folder = "/store", MinFreeBytes = 0 }, disk, _time, new Random(1), _meter, NullLogger.Instance);

    private static Dictionary<(string, long), double> Read(StoreEngine store) => store.Reader.Samples().ToDictionary(s => (s.Labels.MetricName, s.TimestampMs), s => s.Value);
}
