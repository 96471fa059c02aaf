using System.Diagnostics.Metrics;
using System.Text;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

public sealed class SpoolEncryptionTests : IDisposable
{
    private static readonly SpoolKey s_one = new("one", [.. Enumerable.Range(0, 32).Select(i => (byte)i)]);
    private static readonly SpoolKey s_two = new("two", [.. Enumerable.Range(0, 32).Select(i => (byte)(i * 7))]);
    private readonly Meter _meter = new("test");
    private readonly FaultyDisk _disk = new(new Random(1));
    private readonly SourceTable _table = new("shop", 1000);
    private readonly SourceTick _tick = new();
    private long _now = 1_700_000_000_000;

    public SpoolEncryptionTests() => _table.Add(Labels.Of(LabelNames.MetricName, "secret_sales", "customer", "Confidential & Sons"));

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void What_is_on_disk_shows_no_series_and_comes_back_with_the_key()
    {
        Write([s_one], 5);
        byte[] file = _disk.Content("/spool/log/0000000000000001.seg").ToArray();
        Assert.Equal(-1, file.AsSpan().IndexOf("Confidential"u8));
        using LogSpool again = Open(s_one);
        Assert.Equal(5, Decode(again));
        Assert.Equal(0, again.Statistics.LockedSegments);
    }

    [Fact]
    public void Without_encryption_the_same_bytes_would_show_it()
    {
        Write([], 5);
        Assert.NotEqual(-1, _disk.Content("/spool/log/0000000000000001.seg").AsSpan().IndexOf("Confidential"u8));
    }

    [Fact]
    public void Keys_rotate_new_segments_use_the_first_and_the_others_still_open_theirs()
    {
        Write([], 1);
        Write([s_one], 2);
        Write([s_two, s_one], 3);
        using (LogSpool both = Open(s_two, s_one))
            Assert.Equal(6, Decode(both));
        using LogSpool onlyTwo = Open(s_two);
        Assert.Equal(4, Decode(onlyTwo));
        Assert.Equal(1, onlyTwo.Statistics.LockedSegments);
        Assert.Contains("'one'", onlyTwo.Statistics.LockedReason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wrong_or_missing_key_locks_what_it_protects_and_nothing_is_deleted_or_miscounted(bool missing)
    {
        Write([s_one], 5);
        SpoolKey[] keys = missing ? [] : [new SpoolKey("one", s_two.Key)];
        using (LogSpool locked = Open(keys))
        {
            Assert.Equal(0, Decode(locked));
            Assert.Equal(1, locked.Statistics.LockedSegments);
            _now += (long)TimeSpan.FromDays(30).TotalMilliseconds; // beyond the age bound
            Append(locked, 2);
            locked.StartSegment();
            Append(locked, 1);
            SourceLedger shop = Ledger(locked);
            Assert.Equal((8, 8), (shop.Produced, shop.Buffered.Samples));
            Assert.Empty(shop.Dropped);
            var classes = new List<SpooledClass>();
            locked.ListBuffered(0, classes);
            Assert.Equal(5, classes.Single(c => c.Name == "locked").Records);
            locked.StartSegment();
            var segments = new List<SpooledSegment>();
            locked.ListSegments(segments);
            foreach (SpooledSegment segment in segments)
                locked.Acknowledge(segment.Id, segment.Records, segment.Closed);
        }
        using LogSpool again = Open(s_one);
        Assert.Equal(0, again.Statistics.LockedSegments);
        SourceLedger after = Ledger(again);
        Assert.Equal(8, after.Produced);
        Assert.Equal(5, after.Buffered.Samples);
        Assert.Equal(5, Decode(again));
    }

    [Fact]
    public void Behind_a_segment_whose_key_is_gone_the_state_does_not_grow_with_what_is_acknowledged()
    {
        Write([s_one], 5);
        using (LogSpool locked = Open(s_two))
        {
            int StateBytes() => _disk.Content("/spool/state").Length;
            int after20 = 0;
            for (int i = 0; i < 200; i++)
            {
                Append(locked, 1);
                locked.StartSegment();
                var segments = new List<SpooledSegment>();
                locked.ListSegments(segments);
                SpooledSegment only = Assert.Single(segments);
                locked.Acknowledge(only.Id, only.Records, only.Closed);
                if (i == 20)
                    after20 = StateBytes();
            }
            Assert.Equal(1, locked.Statistics.LockedSegments);
            Assert.InRange(StateBytes(), after20 / 2, after20 * 5 / 4);
        }
        using LogSpool again = Open(s_one, s_two);
        Assert.Equal(5, Decode(again));
        Assert.Equal(205, Ledger(again).Produced);
    }

    [Fact]
    public void A_frame_at_another_place_or_changed_by_a_bit_is_refused()
    {
        var id = new SegmentRef(1, 2, 3);
        byte[] key = s_one.Key;
        byte[] record = Encoding.UTF8.GetBytes("a record");
        byte[] frame = new byte[record.Length + SegmentCipher.AddedBytes];
        byte[] opened = new byte[frame.Length];
        new SegmentCipher(key, id).Seal(9, record, frame);
        Assert.True(new SegmentCipher(key, id).TryOpen(9, frame, opened));
        Assert.Equal(record, opened[..record.Length]);
        Assert.False(new SegmentCipher(key, id).TryOpen(10, frame, opened));
        Assert.False(new SegmentCipher(key, id with { Number = 3 }).TryOpen(9, frame, opened));
        Assert.False(new SegmentCipher(key, id with { Nonce = 4 }).TryOpen(9, frame, opened));
        Assert.False(new SegmentCipher(key, id).TryOpen(9, frame.AsSpan(0, 5), opened));
        for (int bit = 0; bit < frame.Length * 8; bit += 5)
        {
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(new SegmentCipher(key, id).TryOpen(9, frame, opened));
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void The_sealed_form_is_the_one_of_the_format_page()
    {
        byte next = 0;
        var keys = new SpoolKeys([s_one], bytes =>
        {
            for (int i = 0; i < bytes.Length; i++)
                bytes[i] = next++;
        });
        var id = new SegmentRef(1, 2, 3);
        byte[] begin = new byte[SpoolFrames.BeginBytes + keys.WrappedBytes];
        SpoolFrames.WriteBegin(begin, id, 1_700_000_000_000);
        SegmentCipher cipher = keys.Begin(begin, id);
        byte[] frame = new byte[8 + SegmentCipher.AddedBytes];
        cipher.Seal(9, "a record"u8, frame);
        // Made by another implementation (Python's cryptography) from docs/formats/segment.md.
        Assert.Equal("01000000000000000200000000000000030000000068e5cf8b01000001036f6e65202122232425262728292a2bd23ba473689d1c09127548c5cd15faf6c058fe8f939575f974ef760955974016ae95f824387a4fbc40f830b9250a0061", Convert.ToHexStringLower(begin));
        Assert.Equal("bd90fab9f3c08842091ae17a632dab218caacc83bad83ed5", Convert.ToHexStringLower(frame));
        Assert.NotNull(SpoolKeys.Open(keys, begin, id, out _));
        begin[3] ^= 1;
        Assert.Null(SpoolKeys.Open(keys, begin, id, out string reason));
        Assert.Contains("not the one", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_come_from_a_file_or_are_refused_with_the_setting_and_the_reason()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory();
        string file = Path.Combine(folder.FullName, "key");
        foreach (byte[] content in new[] { s_one.Key, Encoding.ASCII.GetBytes(Convert.ToHexString(s_one.Key) + "\n"), Encoding.ASCII.GetBytes(Convert.ToBase64String(s_one.Key)) })
        {
            File.WriteAllBytes(file, content);
            Assert.NotNull(SpoolKeys.Load([new SpoolKeySection { Id = "k", File = file }]));
        }
        File.WriteAllText(file, "too short");
        Assert.Contains("is no key", Error(new SpoolKeySection { Id = "k", File = file }), StringComparison.Ordinal);
        File.Delete(file);
        Assert.Contains("spool.encryption[0] (key 'k')", Error(new SpoolKeySection { Id = "k", File = file }), StringComparison.Ordinal);
        Assert.Contains("BELLWETHER_TEST_NO_SUCH_VARIABLE is not set", Error(new SpoolKeySection { Id = "k", Env = "BELLWETHER_TEST_NO_SUCH_VARIABLE" }), StringComparison.Ordinal);
        Assert.Null(SpoolKeys.Load([]));
        folder.Delete(recursive: true);

        static string Error(SpoolKeySection section) => Assert.Throws<IOException>(() => SpoolKeys.Load([section])).Message;
    }

    private void Write(SpoolKey[] keys, int ticks)
    {
        using LogSpool spool = Open(keys);
        Append(spool, ticks);
    }

    private void Append(LogSpool spool, int ticks)
    {
        for (int i = 0; i < ticks; i++)
        {
            _now += 1000;
            _tick.Begin(_table, _now);
            _tick.Set(0, _now);
            _tick.Complete();
            Assert.Equal(SpoolAppend.Appended, spool.Append(_tick));
        }
        Assert.Equal(LogSync.Durable, spool.Sync());
    }

    private LogSpool Open(params SpoolKey[] keys) =>
        LogSpool.Open(_disk, "/spool", new SpoolOptions { Keys = keys.Length == 0 ? null : new SpoolKeys(keys) }, new Clock(this), new Random(3), _meter);

    private static SourceLedger Ledger(LogSpool spool)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        return ledger.Single(l => l.Name == "shop");
    }

    private static int Decode(LogSpool spool)
    {
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        int records = 0;
        foreach (SpooledSegment segment in segments)
        {
            var read = new List<ReadOnlyMemory<byte>>();
            while ((ulong)read.Count < segment.Records)
                Assert.True(spool.TryRead(segment.Id, (ulong)read.Count, 1 << 20, read));
            foreach (ReadOnlyMemory<byte> record in read)
            {
                Assert.Equal(DecodeOutcome.Applied, RecordHeader.TryRead(record.Span, CodecLimits.Default, out RecordHeader header));
                Assert.Equal(1, header.Samples);
            }
            records += read.Count;
        }
        return records;
    }

    private sealed class Clock(SpoolEncryptionTests test) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(test._now);
    }
}
