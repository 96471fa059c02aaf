using Bellwether.Core.Durable;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Durable;

public sealed class AtomicFileTests
{
    [Fact]
    public void After_a_crash_at_any_step_the_old_or_the_new_content_is_there()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var disk = new FaultyDisk(new Random(seed));
            byte[] old = new byte[700], replacement = new byte[900];
            new Random(seed).NextBytes(old);
            new Random(seed + 1).NextBytes(replacement);
            AtomicFile.Write(disk, "/f/state", old);
            disk.PowerCutAt = disk.Changes + 1 + (seed % 7);
            bool written = true;
            try
            {
                AtomicFile.Write(disk, "/f/state", replacement);
            }
            catch (PowerCutException)
            {
                written = false;
            }
            disk.Crash();
            Assert.Equal(AtomicFileOutcome.Read, AtomicFile.TryRead(disk, "/f/state", 10_000, out byte[] found));
            Assert.True(found.AsSpan().SequenceEqual(replacement) || (!written && found.AsSpan().SequenceEqual(old)));
        }
    }

    [Fact]
    public void Damage_absence_and_excess_are_told_apart()
    {
        var disk = new FaultyDisk(new Random(1));
        Assert.Equal(AtomicFileOutcome.Missing, AtomicFile.TryRead(disk, "/f/state", 100, out _));
        AtomicFile.Write(disk, "/f/state", new byte[50]);
        Assert.Equal(AtomicFileOutcome.Damaged, AtomicFile.TryRead(disk, "/f/state", 49, out _));
        for (int bit = 0; bit < 66 * 8; bit++)
        {
            disk.FlipBit("/f/state", bit);
            Assert.Equal(AtomicFileOutcome.Damaged, AtomicFile.TryRead(disk, "/f/state", 100, out _));
            disk.FlipBit("/f/state", bit);
        }
    }

    [Fact]
    public void The_checksum_is_crc32c()
    {
        // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, ascending.
        Assert.Equal(0x8A9136AAu, Crc32C.Compute(new byte[32]));
        byte[] ones = new byte[32];
        Array.Fill(ones, (byte)0xFF);
        Assert.Equal(0x62A8AB43u, Crc32C.Compute(ones));
        Assert.Equal(0x46DD794Eu, Crc32C.Compute([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));
    }
}
