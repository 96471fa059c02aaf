using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Bellwether.Core.Codec;

namespace Bellwether.Bench.Query;

/// <summary>
/// Thirty days of the series that the measured queries read: 200 request counters (50 routes, 4 codes), 400 histogram buckets (10 instances, 40 bounds), 50 error ratios that stand for a
/// recording rule's history. The same bytes go to every server, as remote write 1.0. Times lie off the edges of all measured windows.
/// </summary>
internal sealed class History
{
    /// <summary>Ticks in one request.</summary>
    private const int TicksPerRequest = 10;

    private const long OffEdgesMs = 7_000;
    private readonly List<byte[]> _labels = [];
    private readonly double[] _values;
    private readonly byte[] _message = new byte[1 << 21];
    private readonly Random _random = new(7);
    private byte[] _compressed = [];
    private long _tick;

    public History(long endMs, TimeSpan length, TimeSpan interval)
    {
        IntervalMs = (long)interval.TotalMilliseconds;
        EndMs = endMs - (endMs % IntervalMs);
        Ticks = (long)length.TotalMilliseconds / IntervalMs;
        for (int route = 0; route < 50; route++)
        {
            foreach (string code in (string[])["200", "404", "500", "503"])
                Add("http_requests_total", ("code", code), ("instance", "10.0.0.1:8080"), ("job", "shop"), ("route", Route(route)));
        }
        for (int instance = 0; instance < 10; instance++)
        {
            for (int bound = 1; bound <= 40; bound++)
                Add("http_request_duration_seconds_bucket", ("instance", $"10.0.0.{instance}:8080"), ("job", "shop"), ("le", bound == 40 ? "+Inf" : (bound * 0.025).ToString("0.###", CultureInfo.InvariantCulture)));
        }
        for (int route = 0; route < 50; route++)
            Add("slo:sli_error:ratio_rate5m", ("sloth_id", Route(route)), ("sloth_window", "5m"));
        _values = new double[_labels.Count];
    }

    public long IntervalMs { get; }

    public long EndMs { get; }

    public long Ticks { get; }

    public int Series => _labels.Count;

    public long Samples => Ticks * Series;

    public static string Route(int route) => $"/r{route:00}";

    /// <summary>The next request's body, valid until the next call; empty at the end.</summary>
    public ReadOnlyMemory<byte> Next()
    {
        int ticks = (int)Math.Min(TicksPerRequest, Ticks - _tick);
        if (ticks <= 0)
            return default;
        long firstMs = EndMs - ((Ticks - _tick) * IntervalMs) + OffEdgesMs;
        var columns = new double[ticks][];
        for (int t = 0; t < ticks; t++)
        {
            Advance();
            columns[t] = [.. _values];
        }
        _tick += ticks;
        int at = 0;
        for (int s = 0; s < _labels.Count; s++)
        {
            _message[at++] = 1 << 3 | 2;
            at += Varint((ulong)(_labels[s].Length + (ticks * 18)), _message.AsSpan(at));
            _labels[s].CopyTo(_message, at);
            at += _labels[s].Length;
            for (int t = 0; t < ticks; t++)
                at += Sample(columns[t][s], firstMs + (t * IntervalMs), _message.AsSpan(at));
        }
        if (_compressed.Length == 0)
            _compressed = new byte[Snappy.MaxCompressedLength(_message.Length)];
        return _compressed.AsMemory(0, Snappy.Compress(_message.AsSpan(0, at), _compressed));
    }

    // Requests by route and code; each request falls into one bucket and all above it.
    private void Advance()
    {
        int s = 0;
        for (; s < 200; s++)
            _values[s] += (s % 4) switch { 0 => _random.Next(60), 1 => _random.Next(4), _ => _random.Next(100) < 3 ? 1 : 0 };
        for (int instance = 0; instance < 10; instance++)
        {
            double below = 0;
            for (int bound = 0; bound < 40; bound++, s++)
            {
                below += bound < 39 && _random.Next(4) == 0 ? _random.Next(1 + (40 / (bound + 1))) : 0;
                _values[s] += below;
            }
        }
        for (; s < _values.Length; s++)
            _values[s] = Math.Round(_random.NextDouble() * 0.002, 6);
    }

    private void Add(string name, params (string Name, string Value)[] labels)
    {
        using var bytes = new MemoryStream();
        Label(bytes, "__name__", name);
        foreach ((string label, string value) in labels)
            Label(bytes, label, value);
        _labels.Add(bytes.ToArray());
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

    // A millisecond time of this century takes six bytes: the sample is 16, with its head 18.
    private static int Sample(double value, long timeMs, Span<byte> into)
    {
        into[0] = 2 << 3 | 2;
        into[1] = 16;
        into[2] = 1 << 3 | 1;
        BinaryPrimitives.WriteDoubleLittleEndian(into[3..], value);
        into[11] = 2 << 3;
        return Varint((ulong)timeMs, into[12..]) == 6 ? 18 : throw new InvalidOperationException("a time of this bench takes six bytes");
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
