using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store.Upkeep;

public sealed class StoreVerifierTests : IDisposable
{
    private readonly VirtualTime _time = new();
    private readonly Meter _meter = new("store-verifier-tests");
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-verify-").FullName;

    public StoreVerifierTests() => Fill();

    private StoreOptions Options => new() { Folder = _folder, MinFreeBytes = 0 };

    public void Dispose()
    {
        _meter.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_whole_store_is_good_and_counted_and_not_changed()
    {
        Dictionary<string, string> before = Content();
        StoreReport report = Verify();
        Assert.Empty(report.Damage);
        Assert.Equal((1, 3L, 300L), (report.ChunkFiles, report.Chunks, report.Samples));
        Assert.True(report.LogFrames >= 30);
        Assert.Equal(32, report.StoreId.Length);
        Assert.Equal(before, Content());
    }

    [Fact]
    public void A_folder_that_a_process_holds_is_refused()
    {
        using StoreEngine store = Open();
        IOException refused = Assert.Throws<IOException>(() => Verify());
        Assert.Contains("in use by another process", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_something_else_is_refused()
    {
        string other = Directory.CreateTempSubdirectory("bellwether-other-").FullName;
        Assert.Contains("not the folder of a store", Assert.Throws<IOException>(() => StoreVerifier.Verify(new OsDisk(), other, (_, _) => { }, CancellationToken.None)).Message, StringComparison.Ordinal);
        Directory.Delete(other);
    }

    /// <summary>Each byte of each file in turn is altered: the check tells it, or the store reads the very same samples.</summary>
    [Fact]
    public void No_altered_byte_ever_gives_a_wrong_sample_unnoticed()
    {
        Dictionary<string, HashSet<(long TimeMs, long Bits)>> good = Read();
        var random = new Random(20261121);
        int told = 0, altered = 0;
        foreach (string file in Directory.GetFiles(_folder, "*", SearchOption.AllDirectories).Where(f => new FileInfo(f).Length > 0).Order(StringComparer.Ordinal))
        {
            byte[] whole = File.ReadAllBytes(file);
            for (int i = 0; i < 60; i++)
            {
                byte[] broken = [.. whole];
                broken[random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
                if (i % 10 == 9)
                    broken = broken[..random.Next(whole.Length)];
                File.WriteAllBytes(file, broken);
                altered++;
                StoreReport report = Verify();
                Dictionary<string, HashSet<(long TimeMs, long Bits)>> now = Read();
                if (!report.IsGood || report.TornLogBytes > 0)
                    told++;
                else if (file.Contains("chunks", StringComparison.Ordinal))
                    Assert.Equal(good, now);
                foreach ((string series, HashSet<(long TimeMs, long Bits)> samples) in now)
                    Assert.Subset(good[series], samples);
            }
            File.WriteAllBytes(file, whole);
        }
        Assert.True(told > altered / 2, $"{told} of {altered}");
        Assert.True(Verify().IsGood);
    }

    [Fact]
    public void What_is_damaged_is_named_with_its_place_and_its_cost()
    {
        string file = Directory.GetFiles(Path.Combine(_folder, "chunks"))[0];
        byte[] bytes = File.ReadAllBytes(file);
        bytes[10] ^= 1;
        File.WriteAllBytes(file, bytes);
        StoreReport report = Verify();
        Assert.NotEmpty(report.Damage);
        StoreDamage damage = report.Damage[0];
        Assert.Equal(Path.Combine("chunks", Path.GetFileName(file)), damage.File);
        Assert.Contains("100 samples of", damage.Cost, StringComparison.Ordinal);
        Assert.True(damage.Offset > 0);
    }

    private static void Append(StoreEngine store, string name, long timeMs, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name), timeMs, value));
        store.AppendBatch(batch);
        store.Commit();
    }

    private void Fill()
    {
        using StoreEngine store = Open();
        long t = (_time.NowMs / 7_200_000 * 7_200_000) - 7_200_000;
        for (int s = 0; s < 3; s++)
        {
            for (int i = 0; i < 100; i++)
                Append(store, "m" + s, t + (i * 15_000), i * 0.1 * (s + 1));
        }
        _time.Advance(TimeSpan.FromHours(4));
        store.Maintain();
        for (int i = 0; i < 30; i++)
            Append(store, "m0", _time.NowMs + i, i);
    }

    private StoreEngine Open(IDisk? disk = null) => StoreEngine.Open(Options, disk ?? new OsDisk(), _time, new Random(1), _meter, NullLogger.Instance);

    private StoreReport Verify() => StoreVerifier.Verify(new OsDisk(), _folder, (_, _) => { }, CancellationToken.None);

    /// <summary>Everything that the store serves, by series. Changes nothing on disk.</summary>
    private Dictionary<string, HashSet<(long TimeMs, long Bits)>> Read()
    {
        using StoreEngine store = Open(new OverlayDisk(new OsDisk()));
        using ISeriesSet set = store.Reader.Select(long.MinValue / 2, long.MaxValue / 2, [], CancellationToken.None);
        var all = new Dictionary<string, HashSet<(long TimeMs, long Bits)>>();
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            all[set.LabelsAt(i).ToString()] = [.. Enumerable.Range(0, buffer.Count).Select(k => (buffer.Times[k], BitConverter.DoubleToInt64Bits(buffer.Values[k])))];
        }
        return all;
    }

    private Dictionary<string, string> Content() =>
        Directory.GetFiles(_folder, "*", SearchOption.AllDirectories).ToDictionary(f => f, f => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(f))));
}
