using System.Numerics;
using System.Text;

namespace Bellwether.Core.Exposition;

/// <summary>
/// Short strings that were read lately, so that the label names and values of thousands of series, of all targets, are one object each. A fixed table in which a newer string
/// takes the place of an older one: what is not found is only made once more. Thread-safe.
/// </summary>
internal static class RecentStrings
{
    /// <summary>Places in the table; with <see cref="BytesMax"/> it can hold no more than 700 KB.</summary>
    private const int Places = 4096;

    /// <summary>Longer texts are seldom shared.</summary>
    private const int BytesMax = 64;

    private static readonly string?[] s_places = new string?[Places];

    /// <summary>The string that UTF-8 bytes stand for.</summary>
    public static string Of(ReadOnlySpan<byte> text)
    {
        if (text.Length is 0 or > BytesMax)
            return Encoding.UTF8.GetString(text);
        ref string? place = ref s_places[HashOf(text) & (Places - 1)];
        string? known = Volatile.Read(ref place);
        if (known is not null && Ascii.Equals(text, known))
            return known;
        string made = Encoding.UTF8.GetString(text);
        Volatile.Write(ref place, made);
        return made;
    }

    private static int HashOf(ReadOnlySpan<byte> text)
    {
        uint hash = (uint)text.Length;
        foreach (byte b in text)
            hash = (BitOperations.RotateLeft(hash, 5) ^ b) * 0x9E3779B1;
        return (int)(hash >> 15);
    }
}
