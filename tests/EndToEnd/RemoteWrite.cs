using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Bellwether.Core.Codec;

namespace Bellwether.EndToEnd;

/// <summary>A remote-write sender, well-behaved or not.</summary>
internal static class RemoteWrite
{
    /// <summary>Sends samples.</summary>
    public static async Task SendAsync(Site site, IReadOnlyList<(string Name, long TimeMs, double Value)> samples)
    {
        (HttpStatusCode status, string answer) = await PostAsync(site, Compress(Message(samples)));
        Assert.True(status == HttpStatusCode.NoContent, answer);
    }

    /// <summary>A WriteRequest, not compressed.</summary>
    public static byte[] Message(IReadOnlyList<(string Name, long TimeMs, double Value)> samples)
    {
        using var message = new MemoryStream();
        Span<byte> number = stackalloc byte[8];
        foreach (IGrouping<string, (string Name, long TimeMs, double Value)> series in samples.GroupBy(s => s.Name))
        {
            using var body = new MemoryStream();
            Field(body, 1, Label("__name__", series.Key));
            foreach ((_, long time, double value) in series)
            {
                using var sample = new MemoryStream();
                BinaryPrimitives.WriteDoubleLittleEndian(number, value);
                sample.WriteByte(1 << 3 | 1);
                sample.Write(number);
                sample.WriteByte(2 << 3);
                Varint(sample, (ulong)time);
                Field(body, 2, sample.ToArray());
            }
            Field(message, 1, body.ToArray());
        }
        return message.ToArray();
    }

    /// <summary>Posts a body as it is.</summary>
    public static async Task<(HttpStatusCode Status, string Answer)> PostAsync(Site site, byte[] body)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/x-protobuf");
        content.Headers.ContentEncoding.Add("snappy");
        using HttpResponseMessage response = await site.Api.Client.PostAsync("/api/v1/write", content);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>A request with one series that has very many labels.</summary>
    public static byte[] ManyLabels(int count)
    {
        using var series = new MemoryStream();
        Field(series, 1, Label("__name__", "hostile_value"));
        Field(series, 2, [2 << 3, 1]);
        for (int i = 0; i < count; i++)
            Field(series, 1, Label("l" + i.ToString("x", System.Globalization.CultureInfo.InvariantCulture), "v"));
        using var message = new MemoryStream();
        Field(message, 1, series.ToArray());
        return Compress(message.ToArray());
    }

    /// <summary>A request with one series: its labels as bytes, its samples as bits.</summary>
    public static byte[] Series(IEnumerable<(byte[] Name, byte[] Value)> labels, params (long TimeMs, ulong Bits)[] samples)
    {
        using var series = new MemoryStream();
        foreach ((byte[] name, byte[] value) in labels)
        {
            using var label = new MemoryStream();
            Field(label, 1, name);
            Field(label, 2, value);
            Field(series, 1, label.ToArray());
        }
        Span<byte> number = stackalloc byte[8];
        foreach ((long time, ulong bits) in samples)
        {
            using var sample = new MemoryStream();
            BinaryPrimitives.WriteUInt64LittleEndian(number, bits);
            sample.WriteByte(1 << 3 | 1);
            sample.Write(number);
            sample.WriteByte(2 << 3);
            Varint(sample, (ulong)time);
            Field(series, 2, sample.ToArray());
        }
        using var message = new MemoryStream();
        Field(message, 1, series.ToArray());
        return Compress(message.ToArray());
    }

    public static byte[] Compress(byte[] plain)
    {
        byte[] into = new byte[Snappy.MaxCompressedLength(plain.Length)];
        return into[..Snappy.Compress(plain, into)];
    }

    public static byte[] Label(string name, string value)
    {
        using var label = new MemoryStream();
        Field(label, 1, Encoding.UTF8.GetBytes(name));
        Field(label, 2, Encoding.UTF8.GetBytes(value));
        return label.ToArray();
    }

    public static void Field(MemoryStream into, int number, byte[] bytes)
    {
        into.WriteByte((byte)(number << 3 | 2));
        Varint(into, (ulong)bytes.Length);
        into.Write(bytes);
    }

    public static void Varint(MemoryStream into, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            into.WriteByte((byte)(value | 0x80));
        into.WriteByte((byte)value);
    }
}
