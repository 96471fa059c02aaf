using System.Globalization;
using Bellwether.Core.Codec;

namespace Bellwether.Bench.Query;

/// <summary>
/// Days of the series that the measured queries read: 200 request counters (50 routes, 4 codes), 400 histogram buckets (10 instances, 40 bounds; more if asked), 50 error ratios that stand for a
/// recording rule's history. The same bytes go to every server, as remote write 1.0. Times lie off the edges of all measured windows.
/// </summary>
internal sealed class History
{
    /// <summary>Ticks in one request.</summary>
    private const int TicksPerRequest = 10;

    private const long OffEdgesMs = 7_000;
    private readonly int _instances;
    private readonly List<byte[]> _labels = [];
    private readonly double[] _values;
    private readonly byte[] _message = new byte[1 << 21];
    private readonly Random _random = new(7);
    private byte[] _compressed = [];
    private long _tick;

    public History(long endMs, TimeSpan length, TimeSpan interval, int instances = 10)
    {
        _instances = instances;
        IntervalMs = (long)interval.TotalMilliseconds;
        EndMs = endMs - (endMs % IntervalMs);
        Ticks = (long)length.TotalMilliseconds / IntervalMs;
        for (int route = 0; route < 50; route++)
        {
            foreach (string code in (string[])["200", "404", "500", "503"])
                Add("http_requests_total", ("code", code), ("instance", "10.0.0.1:8080"), ("job", "shop"), ("route", Route(route)));
        }
        for (int instance = 0; instance < instances; instance++)
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
            at += RequestParts.Series(_labels[s], ticks, _message.AsSpan(at));
            for (int t = 0; t < ticks; t++)
                at += RequestParts.Sample(columns[t][s], firstMs + (t * IntervalMs), _message.AsSpan(at));
        }
        if (_compressed.Length == 0)
            _compressed = new byte[Snappy.MaxCompressedLength(_message.Length)];
        return _compressed.AsMemory(0, Snappy.Compress(_message.AsSpan(0, at), _compressed));
    }

    /// <summary>The values of the next tick, for those who need no requests; valid until the next call.</summary>
    public ReadOnlySpan<double> Tick()
    {
        Advance();
        _tick++;
        return _values;
    }

    // Requests by route and code; each request falls into one bucket and all above it.
    private void Advance()
    {
        int s = 0;
        for (; s < 200; s++)
            _values[s] += (s % 4) switch { 0 => _random.Next(60), 1 => _random.Next(4), _ => _random.Next(100) < 3 ? 1 : 0 };
        for (int instance = 0; instance < _instances; instance++)
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

    private void Add(string name, params ReadOnlySpan<(string Name, string Value)> labels) => _labels.Add(RequestParts.Labels(name, labels));
}
