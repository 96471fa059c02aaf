using System.Buffers.Binary;
using Bellwether.Core.Codec;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Bellwether.Bench.Delivery;

/// <summary>A remote-write receiver that keeps of each bench_ series the times that came, and counts what came twice or out of order.</summary>
internal sealed class CountingSink : IAsyncDisposable
{
    private const int BodyMax = 64 << 20;
    private const ulong StaleBits = 0x7ff0000000000002;
    private readonly WebApplication _app;
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, Times> _series = [];

    private CountingSink()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.WebHost.ConfigureKestrel(k => k.Limits.MaxRequestBodySize = BodyMax);
        _app = builder.Build();
        _app.MapPost("/api/v1/write", TakeAsync);
    }

    public int Port { get; private set; }

    public long Doubled { get; private set; }

    public long OutOfOrder { get; private set; }

    public static async Task<CountingSink> StartAsync()
    {
        var sink = new CountingSink();
        await sink._app.StartAsync();
        sink.Port = new Uri(sink._app.Urls.First()).Port;
        return sink;
    }

    /// <summary>Samples at or before a time, of bench_scrape alone or of all.</summary>
    public long Samples(long untilMs, bool scrapesOnly)
    {
        lock (_gate)
            return _series.Values.Where(s => s.Bench && (s.Scrape || !scrapesOnly)).Sum(s => (long)s.CountUntil(untilMs));
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        ReadOnlyMemory<byte> block = body.GetBuffer().AsMemory(0, (int)body.Length);
        if (Snappy.TryGetLength(block.Span, BodyMax, out int length) != SnappyOutcome.Ok)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        byte[] message = new byte[length];
        Snappy.TryInflate(block.Span, message);
        lock (_gate)
        {
            var request = new Fields(message);
            while (request.Next())
            {
                if (request.Number == 1)
                    Take(request.Bytes);
            }
        }
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    private void Take(ReadOnlySpan<byte> series)
    {
        ulong key = 0;
        bool bench = false, scrape = false;
        var fields = new Fields(series);
        while (fields.Next())
        {
            if (fields.Number != 1)
                continue;
            key = Hash(key, fields.Bytes);
            bench |= fields.Bytes.IndexOf("__name__"u8) >= 0 && fields.Bytes.IndexOf("bench_"u8) >= 0;
            scrape |= fields.Bytes.EndsWith("bench_scrape"u8);
        }
        if (!_series.TryGetValue(key, out Times? times))
            _series[key] = times = new Times(bench, scrape);
        fields = new Fields(series);
        while (fields.Next())
        {
            if (fields.Number == 2)
                TakeSample(times, fields.Bytes);
        }
    }

    private void TakeSample(Times times, ReadOnlySpan<byte> sample)
    {
        ulong bits = 0;
        long time = 0;
        var fields = new Fields(sample);
        while (fields.Next())
        {
            if (fields.Number == 1)
                bits = BinaryPrimitives.ReadUInt64LittleEndian(fields.Bytes);
            else if (fields.Number == 2)
                time = (long)fields.Varint;
        }
        if (bits == StaleBits || !times.Bench)
            return;
        switch (times.Add(time))
        {
            case 0:
                Doubled++;
                break;
            case < 0:
                OutOfOrder++;
                break;
        }
    }

    /// <summary>FNV-1a.</summary>
    private static ulong Hash(ulong seed, ReadOnlySpan<byte> bytes)
    {
        ulong hash = seed == 0 ? 14695981039346656037 : seed;
        foreach (byte b in bytes)
            hash = (hash ^ b) * 1099511628211;
        return hash;
    }

    private sealed class Times(bool bench, bool scrape)
    {
        private readonly List<long> _ms = [];

        public bool Bench => bench;

        public bool Scrape => scrape;

        /// <summary>1: newer than all; -1: new, but older than another; 0: there already.</summary>
        public int Add(long timeMs)
        {
            if (_ms.Count == 0 || timeMs > _ms[^1])
            {
                _ms.Add(timeMs);
                return 1;
            }
            int at = _ms.BinarySearch(timeMs);
            if (at >= 0)
                return 0;
            _ms.Insert(~at, timeMs);
            return -1;
        }

        public int CountUntil(long timeMs)
        {
            int at = _ms.BinarySearch(timeMs);
            return at >= 0 ? at + 1 : ~at;
        }
    }

    /// <summary>Walks the fields of a protobuf message.</summary>
    private ref struct Fields(ReadOnlySpan<byte> message)
    {
        private ReadOnlySpan<byte> _left = message;

        public int Number { get; private set; }

        public ReadOnlySpan<byte> Bytes { get; private set; }

        public ulong Varint { get; private set; }

        public bool Next()
        {
            if (_left.IsEmpty)
                return false;
            ulong tag = Read();
            Number = (int)(tag >> 3);
            switch (tag & 7)
            {
                case 0:
                    Varint = Read();
                    break;
                case 1:
                    Bytes = _left[..8];
                    _left = _left[8..];
                    break;
                case 5:
                    Bytes = _left[..4];
                    _left = _left[4..];
                    break;
                default:
                    int length = (int)Read();
                    Bytes = _left[..length];
                    _left = _left[length..];
                    break;
            }
            return true;
        }

        private ulong Read()
        {
            ulong value = 0;
            for (int shift = 0; ; shift += 7)
            {
                byte b = _left[0];
                _left = _left[1..];
                value |= (ulong)(b & 0x7F) << shift;
                if (b < 0x80)
                    return value;
            }
        }
    }
}
