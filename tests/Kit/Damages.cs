namespace Bellwether.Kit;

/// <summary>A file that something happened to.</summary>
/// <param name="What">In words.</param>
/// <param name="Content">What it holds now.</param>
/// <param name="From">The first byte that is not as it was.</param>
/// <param name="To">Behind the last byte that is not as it was.</param>
public sealed record Damage(string What, byte[] Content, int From, int To);

/// <summary>What happens to files: cuts, rotten bits, sectors that were zeroed, swapped or not written, and what lay there before.</summary>
public static class Damages
{
    private const int Sector = 512;

    /// <summary>A cut at every length, every bit of the header, some random bits elsewhere, each sector zeroed and swapped with the next, and old bytes behind the end.</summary>
    public static IEnumerable<Damage> Of(byte[] whole, int headerBytes, int flips, Random random)
    {
        for (int length = 0; length < whole.Length; length++)
            yield return new Damage($"cut at {length}", whole[..length], length, whole.Length);
        for (int bit = 0; bit < headerBytes * 8; bit++)
            yield return Flipped(whole, bit);
        for (int i = 0; i < flips; i++)
            yield return Flipped(whole, random.Next(whole.Length * 8));
        for (int at = 0; at < whole.Length; at += Sector)
        {
            byte[] zeroed = (byte[])whole.Clone();
            int end = Math.Min(at + Sector, whole.Length);
            zeroed.AsSpan(at..end).Clear();
            yield return new Damage($"zeros from {at} to {end}", zeroed, at, end);
            if (at + (2 * Sector) > whole.Length)
                continue;
            byte[] swapped = (byte[])whole.Clone();
            whole.AsSpan(at, Sector).CopyTo(swapped.AsSpan(at + Sector));
            whole.AsSpan(at + Sector, Sector).CopyTo(swapped.AsSpan(at));
            yield return new Damage($"sectors at {at} and {at + Sector} swapped", swapped, at, at + (2 * Sector));
        }
        foreach (int from in new[] { 0, headerBytes, whole.Length / 2 })
            yield return new Damage($"behind the end what stands from {from} on", [.. whole, .. whole[from..]], whole.Length, whole.Length);
    }

    private static Damage Flipped(byte[] whole, int bit)
    {
        byte[] flipped = (byte[])whole.Clone();
        flipped[bit / 8] ^= (byte)(1 << (bit % 8));
        return new Damage($"bit {bit} flipped", flipped, bit / 8, (bit / 8) + 1);
    }
}
