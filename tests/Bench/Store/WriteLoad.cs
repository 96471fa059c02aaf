using Bellwether.Core.Codec;

namespace Bellwether.Bench.Store;

/// <summary>So many series times so many ticks of 15 s that end now, as remote write 1.0: 10,000 series with one sample each in a request, as vmagent sends them. The same bytes for every server.</summary>
internal sealed class WriteLoad
{
    public const long IntervalMs = 15_000;
    private const int SeriesPerRequest = 10_000;
    private readonly LoadSeries _series;
    private readonly byte[][] _labels;
    private readonly byte[] _message = new byte[SeriesPerRequest * 256];
    private readonly byte[] _compressed;

    public WriteLoad(int series, int ticks, long nowMs)
    {
        _series = new LoadSeries(series);
        _labels = [.. Enumerable.Range(0, series).Select(s => RequestParts.Labels(LoadSeries.Name(s), LoadSeries.LabelsOf(s)))];
        _compressed = new byte[Snappy.MaxCompressedLength(_message.Length)];
        Ticks = ticks;
        EndMs = (nowMs / IntervalMs * IntervalMs) + 1;
    }

    public int Ticks { get; private set; }

    /// <summary>Time of the last tick, Unix ms.</summary>
    public long EndMs { get; private set; }

    public long Samples => (long)Ticks * _series.Count;

    /// <summary>Counts the series of one metric.</summary>
    public static string SomeSeries => $"count({LoadSeries.Name(7)})";

    /// <summary>Counts what is stored.</summary>
    public string AllSamples => FormattableString.Invariant($"sum(count_over_time({{job=\"bench\"}}[{(Ticks + 20) * IntervalMs / 1000}s]))");

    /// <summary>Sends all of it, one request after the other was acknowledged.</summary>
    /// <param name="send">Sends a body.</param>
    /// <param name="parts">In so many equal parts.</param>
    /// <param name="sent">Called after each part.</param>
    public async Task SendAsync(Func<ReadOnlyMemory<byte>, Task> send, int parts = 1, Action? sent = null)
    {
        for (int tick = 0; tick < Ticks; tick++)
        {
            await SendTickAsync(EndMs - ((Ticks - 1 - tick) * IntervalMs), send);
            if ((tick + 1) * parts / Ticks > tick * parts / Ticks)
                sent?.Invoke();
        }
    }

    /// <summary>Sends one tick more.</summary>
    public async Task SendOneMoreAsync(Func<ReadOnlyMemory<byte>, Task> send)
    {
        Ticks++;
        EndMs += IntervalMs;
        await SendTickAsync(EndMs, send);
    }

    private async Task SendTickAsync(long timeMs, Func<ReadOnlyMemory<byte>, Task> send)
    {
        for (int first = 0; first < _series.Count; first += SeriesPerRequest)
        {
            int at = 0;
            for (int s = first; s < Math.Min(first + SeriesPerRequest, _series.Count); s++)
            {
                at += RequestParts.Series(_labels[s], 1, _message.AsSpan(at));
                at += RequestParts.Sample(_series.Values[s], timeMs, _message.AsSpan(at));
            }
            await send(_compressed.AsMemory(0, Snappy.Compress(_message.AsSpan(0, at), _compressed)));
        }
        _series.Next();
    }
}
