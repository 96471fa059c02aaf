using System.Diagnostics;
using System.Text;
using Bellwether.Core.Codec;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Core.Tests.Codec;

public sealed class SnappyTests
{
    private const int Max = 32 << 20;

    [Fact]
    public void What_is_compressed_comes_back() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), (byte[] plain) => RoundTrip(plain)).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 1)]
    [InlineData(65_536, 1)]
    [InlineData(65_537, 3)]
    [InlineData(200_000, 7)]
    [InlineData(300_000, 256)]
    public void Repeating_and_random_texts_of_all_sizes_come_back(int length, int alphabet)
    {
        var random = new Random(length + alphabet);
        byte[] plain = [.. Enumerable.Range(0, length).Select(_ => (byte)random.Next(alphabet))];
        Assert.True(RoundTrip(plain));
        if (alphabet < 4 && length > 1000)
            Assert.True(Compress(plain).Length < length / 2);
    }

    [Fact]
    public void Any_bytes_give_an_outcome_and_never_more_than_declared() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), (byte[] block) =>
        {
            if (Snappy.TryGetLength(block, 1 << 16, out int length) != SnappyOutcome.Ok)
                return true;
            return Snappy.TryInflate(block, new byte[length]) is SnappyOutcome.Ok or SnappyOutcome.Corrupt;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Every_cut_and_every_flipped_bit_is_survived()
    {
        byte[] block = Compress(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("http_requests_total{code=\"200\"} ", 50))));
        for (int cut = 0; cut < block.Length; cut++)
            Assert.NotEqual(SnappyOutcome.Ok, Inflate(block[..cut]));
        for (int bit = 0; bit < block.Length * 8; bit++)
        {
            byte[] flipped = [.. block];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Inflate(flipped);
        }
    }

    [Theory]
    [InlineData("FFFFFFFF0F0041", SnappyOutcome.TooLarge)]
    [InlineData("FFFFFFFF1F0041", SnappyOutcome.Corrupt)]
    [InlineData("FFFFFFFFFFFFFFFFFF01", SnappyOutcome.Corrupt)]
    [InlineData("8080808008", SnappyOutcome.TooLarge)]
    [InlineData("8094EBDC03", SnappyOutcome.TooLarge)]
    [InlineData("", SnappyOutcome.Corrupt)]
    public void A_lying_length_costs_no_memory(string hex, SnappyOutcome expected)
    {
        byte[] block = Convert.FromHexString(hex);
        long before = GC.GetAllocatedBytesForCurrentThread();
        SnappyOutcome outcome = Snappy.TryGetLength(block, Max, out _);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1024);
        Assert.Equal(expected, outcome);
    }

    [Theory]
    [InlineData("0500", "copy before the start")]
    [InlineData("050041090A", "offset beyond what is there")]
    [InlineData("05004109 00", "offset zero")]
    [InlineData("02084142434445", "more than declared")]
    public void A_copy_or_literal_that_does_not_fit_is_corrupt(string hex, string why)
    {
        byte[] block = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        Assert.True(Snappy.TryInflate(block, new byte[block[0]]) == SnappyOutcome.Corrupt, why);
    }

    [Fact]
    public void Inflating_and_compressing_allocate_nothing()
    {
        byte[] plain = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 2000).Select(i => $"series_{i % 50} ")));
        byte[] block = new byte[Snappy.MaxCompressedLength(plain.Length)];
        byte[] back = new byte[plain.Length];
        int length = Snappy.Compress(plain, block);
        Snappy.TryInflate(block.AsSpan(0, length), back);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
        {
            length = Snappy.Compress(plain, block);
            Snappy.TryInflate(block.AsSpan(0, length), back);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Libsnappy_reads_ours_and_we_read_libsnappys()
    {
        const string Python = "/usr/bin/python3";
        byte[] plain = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 5000).Select(i => $"up{{instance=\"host-{i % 97}:9100\"}} {i}\n")));
        if (!File.Exists(Python) || Run(Python, "import snappy", []).Code != 0)
        {
            Assert.True(Environment.GetEnvironmentVariable("CI") is null, "python3-snappy is missing: apt-get install python3-snappy");
            return;
        }
        Assert.Equal(plain, Run(Python, "import sys,snappy; sys.stdout.buffer.write(snappy.uncompress(sys.stdin.buffer.read()))", Compress(plain)).Output);
        byte[] theirs = Run(Python, "import sys,snappy; sys.stdout.buffer.write(snappy.compress(sys.stdin.buffer.read()))", plain).Output;
        Assert.Equal(SnappyOutcome.Ok, Snappy.TryGetLength(theirs, Max, out int length));
        byte[] back = new byte[length];
        Assert.Equal(SnappyOutcome.Ok, Snappy.TryInflate(theirs, back));
        Assert.Equal(plain, back);
    }

    private static bool RoundTrip(byte[] plain)
    {
        byte[] block = Compress(plain);
        if (plain.Length == 0)
            return block is [0];
        byte[] back = new byte[plain.Length];
        return Snappy.TryGetLength(block, Max, out int length) == SnappyOutcome.Ok && length == plain.Length
            && Snappy.TryInflate(block, back) == SnappyOutcome.Ok && back.AsSpan().SequenceEqual(plain);
    }

    private static SnappyOutcome Inflate(byte[] block)
    {
        SnappyOutcome outcome = Snappy.TryGetLength(block, 1 << 20, out int length);
        return outcome == SnappyOutcome.Ok ? Snappy.TryInflate(block, new byte[length]) : outcome;
    }

    private static byte[] Compress(byte[] plain)
    {
        byte[] block = new byte[Snappy.MaxCompressedLength(plain.Length)];
        return block[..Snappy.Compress(plain, block)];
    }

    private static (int Code, byte[] Output) Run(string program, string script, byte[] input)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(script);
        using Process process = Process.Start(start)!;
        Task write = Task.Run(() =>
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        });
        var output = new MemoryStream();
        process.StandardOutput.BaseStream.CopyTo(output);
        process.WaitForExit();
        Assert.True(write.Wait(TimeSpan.FromSeconds(120)));
        return (process.ExitCode, output.ToArray());
    }
}
