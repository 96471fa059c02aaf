using System.Globalization;
using Bellwether.Core.Codec;

namespace Bellwether.Bench.Kpi;

/// <summary>Request counters by route, good and bad, as remote write 1.0 bodies: a history, or what came late of another instance.</summary>
internal sealed class KpiHistory
{
    private const int TicksPerRequest = 20;
    private readonly List<byte[]> _labels = [];
    private readonly double[] _values;
    private readonly Random _random = new(11);
    private readonly byte[] _message;
    private readonly byte[] _compressed;
    private long _atMs;

    public KpiHistory(int routes, string instance, long fromMs, long toMs, long intervalMs)
    {
        (_atMs, EndMs, IntervalMs) = (fromMs, toMs, intervalMs);
        for (int route = 0; route < routes; route++)
        {
            foreach (string code in (string[])["200", "500"])
                _labels.Add(RequestParts.Labels("http_requests_total", [("code", code), ("instance", instance), ("job", "shop"), ("route", Route(route))]));
        }
        _values = new double[_labels.Count];
        _message = new byte[_labels.Sum(l => l.Length + 32) + (_labels.Count * TicksPerRequest * 32)];
        _compressed = new byte[Snappy.MaxCompressedLength(_message.Length)];
        Samples = _labels.Count * ((toMs - fromMs) / intervalMs);
    }

    public long Samples { get; }

    private long EndMs { get; }

    private long IntervalMs { get; }

    public static string Route(int route) => string.Create(CultureInfo.InvariantCulture, $"/r{route:000}");

    /// <summary>The next request's body, valid until the next call; empty at the end.</summary>
    public ReadOnlyMemory<byte> Next()
    {
        int ticks = (int)Math.Min(TicksPerRequest, (EndMs - _atMs) / IntervalMs);
        if (ticks <= 0)
            return default;
        var columns = new double[ticks][];
        for (int t = 0; t < ticks; t++)
        {
            for (int s = 0; s < _values.Length; s++)
                _values[s] += s % 2 == 0 ? _random.Next(60) : _random.Next(100) < 3 ? 1 : 0;
            columns[t] = [.. _values];
        }
        int at = 0;
        for (int s = 0; s < _labels.Count; s++)
        {
            at += RequestParts.Series(_labels[s], ticks, _message.AsSpan(at));
            for (int t = 0; t < ticks; t++)
                at += RequestParts.Sample(columns[t][s], _atMs + (t * IntervalMs), _message.AsSpan(at));
        }
        _atMs += ticks * IntervalMs;
        return _compressed.AsMemory(0, Snappy.Compress(_message.AsSpan(0, at), _compressed));
    }
}
