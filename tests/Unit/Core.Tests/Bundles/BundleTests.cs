using System.Buffers.Binary;
using System.Security.Cryptography;
using Bellwether.Core.Bundles;
using Bellwether.Core.Platform;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Bundles;

/// <summary>Bundles are written and read on a disk in memory; what comes from anybody is refused with the right reason and never throws.</summary>
public sealed class BundleTests : IDisposable
{
    private static readonly BundleSegmentId s_first = new(1, 7, 11), s_second = new(1, 8, 12);
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly ECDsa _agent = Key(), _aggregator = Key(), _other = Key();

    public BundleTests() => _disk.CreateFolder("/out");

    public void Dispose()
    {
        _agent.Dispose();
        _aggregator.Dispose();
        _other.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_was_written_is_read_again(bool encrypted)
    {
        IReadOnlyList<string> files = Write(encrypted);
        using var reader = new BundleReader(_disk, files);
        Assert.Equal(BundleVerdict.Good, reader.Verify(Trust()));
        Assert.Equal(("site-a", 2, encrypted), (reader.Manifest.Agent, reader.Manifest.Segments.Count, reader.Manifest.Encryption is not null));
        List<BundleRun> runs = Runs(reader);
        Assert.Equal([s_first, s_second], runs.Select(r => r.Segment));
        Assert.Equal([Record(0), Record(1), Record(2)], runs[0].Records.Select(r => r.ToArray()));
        Assert.All(runs, r => Assert.True(r.Last));
    }

    [Fact]
    public void A_bundle_is_split_and_read_in_any_order_of_its_files()
    {
        IReadOnlyList<string> files = Write(encrypted: true, volumeBytes: BundleWriter.VolumeBytesMin, records: 40, recordBytes: 100_000);
        Assert.True(files.Count >= 4, $"{files.Count} files");
        Assert.All(files, f => Assert.True(Length(f) <= BundleWriter.VolumeBytesMin));
        using var reader = new BundleReader(_disk, [.. files.Reverse()]);
        Assert.Equal(BundleVerdict.Good, reader.Verify(Trust()));
        List<BundleRun> runs = Runs(reader);
        Assert.Equal(40, runs.Where(r => r.Segment == s_first).Sum(r => r.Records.Count));
        ulong next = 0;
        foreach (BundleRun run in runs.Where(r => r.Segment == s_first))
        {
            Assert.Equal(next, run.First);
            next += (ulong)run.Records.Count;
        }
        Assert.Single(runs, r => r.Segment == s_first && r.Last);
    }

    [Fact]
    public void Each_missing_file_of_a_split_bundle_is_told()
    {
        IReadOnlyList<string> files = Write(volumeBytes: BundleWriter.VolumeBytesMin, records: 40, recordBytes: 100_000);
        for (int i = 0; i < files.Count; i++)
        {
            using var reader = new BundleReader(_disk, [.. files.Where((_, n) => n != i)]);
            BundleVerdict verdict = reader.Verify(Trust());
            Assert.Equal((BundleOutcome.Cut, true), (verdict.Outcome, verdict.Reason.Contains($"file {i + 1} of the bundle", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void Files_of_two_bundles_and_a_file_twice_are_refused()
    {
        string one = Write()[0], two = Write(path: "/out/b.bwb")[0];
        Assert.Equal(BundleOutcome.Altered, Verdict([one, two]).Outcome);
        Copy(one, "/out/c.bwb");
        Assert.Contains("the same file 1", Verdict([one, "/out/c.bwb"]).Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_bundle_of_which_any_byte_was_altered_is_refused(bool encrypted)
    {
        string file = Write(encrypted)[0];
        byte[] good = Bytes(file);
        for (int at = 0; at < good.Length; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 1;
            Put("/out/bad.bwb", bad);
            BundleVerdict verdict = Verdict(["/out/bad.bwb"]);
            Assert.True(!verdict.IsGood && verdict.Reason.Length > 0, $"byte {at} of {good.Length}");
        }
    }

    [Fact]
    public void A_bundle_that_is_cut_at_any_byte_is_refused()
    {
        string file = Write()[0];
        byte[] good = Bytes(file);
        for (int length = 0; length < good.Length; length++)
        {
            Put("/out/bad.bwb", good[..length]);
            Assert.True(Verdict(["/out/bad.bwb"]).Outcome is BundleOutcome.Cut or BundleOutcome.NotABundle, $"cut at {length}");
        }
        Put("/out/bad.bwb", [.. good, 0]);
        Assert.Equal(BundleOutcome.Altered, Verdict(["/out/bad.bwb"]).Outcome);
    }

    [Fact]
    public void Strangers_wrong_signatures_and_other_recipients_are_told_apart()
    {
        string plain = Write()[0], sealed_ = Write(encrypted: true, path: "/out/e.bwb")[0];
        Assert.Equal(BundleOutcome.Stranger, Verdict([plain], new BundleTrust(_ => null)).Outcome);
        Assert.Equal(BundleOutcome.WrongSignature, Verdict([plain], new BundleTrust(_ => _other)).Outcome);
        Assert.Equal(BundleOutcome.NotForUs, Verdict([sealed_], new BundleTrust(_ => _agent, _other)).Outcome);
        Assert.Equal(BundleOutcome.NotForUs, Verdict([sealed_], new BundleTrust(_ => _agent)).Outcome);
    }

    [Fact]
    public void A_newer_format_says_so()
    {
        byte[] bytes = Bytes(Write()[0]);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), 2);
        Put("/out/bad.bwb", bytes);
        BundleVerdict verdict = Verdict(["/out/bad.bwb"]);
        Assert.Equal(BundleOutcome.NewerFormat, verdict.Outcome);
        Assert.Contains("format version 2", verdict.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Lengths_that_a_hostile_file_claims_cost_no_memory()
    {
        byte[] bytes = Bytes(Write()[0]);
        foreach (int claimed in new[] { int.MaxValue, 1 << 30, -1, int.MinValue })
        {
            byte[] bad = [.. bytes];
            BinaryPrimitives.WriteInt32LittleEndian(bad.AsSpan(64), claimed);
            Put("/out/bad.bwb", bad);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.True(Verdict(["/out/bad.bwb"]).Outcome is BundleOutcome.TooLarge or BundleOutcome.Altered);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }
    }

    [Fact]
    public void Random_bytes_behind_a_good_header_never_throw()
    {
        byte[] header = Bytes(Write()[0])[..64];
        var random = new Random(5);
        for (int i = 0; i < 2000; i++)
        {
            byte[] rest = new byte[random.Next(200)];
            random.NextBytes(rest);
            if (rest.Length >= 16)
            {
                // Most of them get past the block's header.
                BinaryPrimitives.WriteInt32LittleEndian(rest, random.Next(rest.Length));
                BinaryPrimitives.WriteUInt32LittleEndian(rest.AsSpan(4), (uint)random.Next(1, 4));
                BinaryPrimitives.WriteUInt64LittleEndian(rest.AsSpan(8), 0);
            }
            Put("/out/bad.bwb", [.. header, .. rest]);
            Assert.False(Verdict(["/out/bad.bwb"]).IsGood);
        }
    }

    [Fact]
    public void A_signed_manifest_over_a_limit_is_refused()
    {
        string file = Write()[0];
        using var reader = new BundleReader(_disk, [file], new BundleLimits { SegmentsMax = 1 });
        Assert.False(reader.Verify(Trust()).IsGood);
    }

    [Fact]
    public void A_bundle_is_named_only_when_it_is_durable_and_nothing_is_left_of_one_that_failed()
    {
        using (var writer = new BundleWriter(_disk, new BundleTarget("/out/a.bwb", Guid.Empty)))
        {
            writer.Add(s_first, 0, [Record(0)], last: true);
            Assert.DoesNotContain("a.bwb", _disk.List("/out"));
        }
        Assert.Empty(_disk.List("/out"));
        _disk.Fault = (call, _) => call == DiskCall.Sync;
        Assert.Throws<IOException>(() => { Write(); });
        _disk.Fault = null;
        Assert.Empty(_disk.List("/out"));
        string file = Write()[0];
        _disk.Crash();
        Assert.True(Verdict([file]).IsGood);
    }

    [Fact]
    public void A_medium_that_changes_after_it_was_verified_is_noticed()
    {
        string file = Write(encrypted: true)[0];
        using var reader = new BundleReader(_disk, [file]);
        Assert.True(reader.Verify(Trust()).IsGood);
        using (IDiskFile handle = _disk.Open(file, DiskOpen.Existing))
            handle.Write(64 + 16 + 5, [0xff, 0xff]);
        Assert.Throws<InvalidDataException>(() => Runs(reader));
    }

    [Fact]
    public void A_receipt_is_for_one_agent_and_of_one_aggregator_and_unaltered()
    {
        var receipt = new BundleReceipt { Bundle = new Guid(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), Agent = "site-a", Store = "s", CreatedMs = 5, Held = [new BundleSegment(s_first, 3, 1, 2)], Missing = [new BundleSegment(s_second, 1, 3, 4)] };
        byte[] bytes = receipt.Write(_aggregator);
        Assert.True(BundleReceipt.TryRead(bytes, "site-a", _aggregator, out BundleReceipt? read).IsGood);
        Assert.Equal((receipt.Bundle, receipt.Held[0], receipt.Missing[0]), (read!.Bundle, read.Held[0], read.Missing[0]));
        Assert.Equal(BundleOutcome.Stranger, BundleReceipt.TryRead(bytes, "site-b", _aggregator, out _).Outcome);
        Assert.Equal(BundleOutcome.WrongSignature, BundleReceipt.TryRead(bytes, "site-a", _other, out _).Outcome);
        for (int at = 0; at < bytes.Length; at++)
        {
            byte[] bad = [.. bytes];
            bad[at] ^= 1;
            Assert.False(BundleReceipt.TryRead(bad, "site-a", _aggregator, out BundleReceipt? none).IsGood && none is not null, $"byte {at}");
            Assert.False(BundleReceipt.TryRead(bytes.AsMemory(0, at), "site-a", _aggregator, out _).IsGood, $"cut at {at}");
        }
    }

    [Fact]
    public void Keys_of_other_kinds_are_refused_in_words()
    {
        using ECDsa large = ECDsa.Create(ECCurve.NamedCurves.nistP384);
        Assert.Contains("P-256", Assert.Throws<CryptographicException>(() => BundleKeys.Read(large.ExportSubjectPublicKeyInfoPem(), "k.pub")).Message, StringComparison.Ordinal);
        Assert.Contains("k.pub", Assert.Throws<CryptographicException>(() => BundleKeys.Read("hello", "k.pub")).Message, StringComparison.Ordinal);
        (string own, string open) = BundleKeys.Generate();
        using ECDsa a = BundleKeys.Read(own, "a"), b = BundleKeys.Read(open, "b");
        Assert.Equal(BundleKeys.Fingerprint(a), BundleKeys.Fingerprint(b));
    }

    [Fact]
    public void The_golden_bundle_of_version_1_is_read_for_ever()
    {
        string folder = Path.Combine(SourceTree.Root, "tests", "Unit", "Core.Tests", "Bundles", "Golden");
        if (Environment.GetEnvironmentVariable("BELLWETHER_WRITE_GOLDEN") == "1")
        {
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(Path.Combine(folder, "bundle-v1.bwb"), Bytes(Write(encrypted: true)[0]));
            File.WriteAllText(Path.Combine(folder, "agent.pub"), _agent.ExportSubjectPublicKeyInfoPem());
            File.WriteAllText(Path.Combine(folder, "aggregator.test-key"), _aggregator.ExportPkcs8PrivateKeyPem());
        }
        using ECDsa agent = BundleKeys.Read(File.ReadAllText(Path.Combine(folder, "agent.pub")), "agent"), own = BundleKeys.Read(File.ReadAllText(Path.Combine(folder, "aggregator.test-key")), "aggregator");
        using var reader = new BundleReader(new OsDisk(), [Path.Combine(folder, "bundle-v1.bwb")]);
        Assert.Equal(BundleVerdict.Good, reader.Verify(new BundleTrust(name => name == "site-a" ? agent : null, own)));
        Assert.Equal([Record(0), Record(1), Record(2)], Runs(reader)[0].Records.Select(r => r.ToArray()));
        Assert.Equal(new BundleSegment(new BundleSegmentId(1, 5, 9), 4, 500, 900), Assert.Single(reader.Manifest.Announced));
    }

    private static ECDsa Key() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    private static byte[] Record(int i, int length = 20) => [.. Enumerable.Range(0, length).Select(n => (byte)(i + (n * 7)))];

    private BundleTrust Trust() => new(name => name == "site-a" ? _agent : null, _aggregator);

    private IReadOnlyList<string> Write(bool encrypted = false, long volumeBytes = 0, int records = 3, int recordBytes = 20, string path = "/out/a.bwb")
    {
        byte[] id = new byte[16];
        new Random(path.Length + path[5]).NextBytes(id);
        using var writer = new BundleWriter(_disk, new BundleTarget(path, new Guid(id), volumeBytes, encrypted ? _aggregator : null));
        for (int i = 0; i < records; i += 10)
        {
            int count = Math.Min(10, records - i);
            writer.Add(s_first, (ulong)i, [.. Enumerable.Range(i, count).Select(n => (ReadOnlyMemory<byte>)Record(n, recordBytes))], last: i + count == records);
        }
        writer.Add(s_second, 0, [Record(9)], last: true);
        writer.Finish(new BundleManifest
        {
            Bundle = default,
            Agent = "site-a",
            Version = "1.0",
            CreatedMs = 1000,
            Segments = [new BundleSegment(s_first, (ulong)records, 1000, 2000), new BundleSegment(s_second, 1, 3000, 3000)],
            Announced = [new BundleSegment(new BundleSegmentId(1, 5, 9), 4, 500, 900)],
        }, _agent);
        return writer.Files;
    }

    private static List<BundleRun> Runs(BundleReader reader)
    {
        var runs = new List<BundleRun>();
        while (reader.NextRun() is { } run)
            runs.Add(run);
        return runs;
    }

    private BundleVerdict Verdict(IReadOnlyList<string> files, BundleTrust? trust = null)
    {
        using var reader = new BundleReader(_disk, files);
        return reader.Verify(trust ?? Trust());
    }

    private long Length(string path)
    {
        using IDiskFile file = _disk.Open(path, DiskOpen.ReadOnly);
        return file.Length;
    }

    private byte[] Bytes(string path)
    {
        using IDiskFile file = _disk.Open(path, DiskOpen.ReadOnly);
        byte[] bytes = new byte[file.Length];
        Assert.Equal(bytes.Length, file.Read(0, bytes));
        return bytes;
    }

    private void Copy(string from, string to) => Put(to, Bytes(from));

    private void Put(string path, byte[] bytes)
    {
        _disk.Delete(path);
        using IDiskFile file = _disk.Open(path, DiskOpen.CreateNew);
        file.Write(0, bytes);
        file.Sync();
        _disk.SyncFolder("/out");
    }
}
