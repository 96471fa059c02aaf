using System.Buffers.Binary;
using System.Text;

namespace Bellwether.Bench;

/// <summary>Pieces of a remote write 1.0 request, as bytes that can be put together quickly.</summary>
internal static class RequestParts
{
    /// <summary>Bytes of one sample with its head.</summary>
    public const int SampleBytes = 18;

    /// <summary>The labels of a series, given in the order of their names, behind the metric's name.</summary>
    public static byte[] Labels(string name, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        using var bytes = new MemoryStream();
        Label(bytes, "__name__", name);
        foreach ((string label, string value) in labels)
            Label(bytes, label, value);
        return bytes.ToArray();
    }

    /// <summary>Writes the head of a time series with its labels; the samples follow. Gives the bytes written.</summary>
    public static int Series(byte[] labels, int samples, Span<byte> into)
    {
        into[0] = 1 << 3 | 2;
        int at = 1 + Varint((ulong)(labels.Length + (samples * SampleBytes)), into[1..]);
        labels.CopyTo(into[at..]);
        return at + labels.Length;
    }

    /// <summary>Writes a sample. A millisecond time of this century takes six bytes: it is 16, with its head 18.</summary>
    public static int Sample(double value, long timeMs, Span<byte> into)
    {
        into[0] = 2 << 3 | 2;
        into[1] = SampleBytes - 2;
        into[2] = 1 << 3 | 1;
        BinaryPrimitives.WriteDoubleLittleEndian(into[3..], value);
        into[11] = 2 << 3;
        return Varint((ulong)timeMs, into[12..]) == 6 ? SampleBytes : throw new InvalidOperationException("a time of this bench takes six bytes");
    }

    private static void Label(MemoryStream into, string name, string value)
    {
        byte[] n = Encoding.UTF8.GetBytes(name), v = Encoding.UTF8.GetBytes(value);
        into.WriteByte(1 << 3 | 2);
        into.WriteByte((byte)(n.Length + v.Length + 4));
        into.WriteByte(1 << 3 | 2);
        into.WriteByte((byte)n.Length);
        into.Write(n);
        into.WriteByte(2 << 3 | 2);
        into.WriteByte((byte)v.Length);
        into.Write(v);
    }

    private static int Varint(ulong value, Span<byte> into)
    {
        int at = 0;
        for (; value >= 0x80; value >>= 7)
            into[at++] = (byte)(value | 0x80);
        into[at++] = (byte)value;
        return at;
    }
}
