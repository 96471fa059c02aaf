namespace Bellwether.Bench.Store;

/// <summary>Bounds the bytes under way in a stream, as the aggregator asked for. Thread-safe.</summary>
internal sealed class StreamWindow(long bytesMax) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _given = new(0);
    private readonly Queue<((int Segment, int Records) End, int Bytes)> _underWay = [];
    private long _bytes;

    /// <summary>Waits until so many bytes may go out.</summary>
    public async Task TakeAsync((int Segment, int Records) end, int bytes, CancellationToken cancel)
    {
        while (true)
        {
            lock (_gate)
            {
                if (_bytes == 0 || _bytes + bytes <= bytesMax)
                {
                    _bytes += bytes;
                    _underWay.Enqueue((end, bytes));
                    return;
                }
            }
            await _given.WaitAsync(cancel);
        }
    }

    /// <summary>All up to an end is durable.</summary>
    public void Give((int Segment, int Records) held)
    {
        lock (_gate)
        {
            while (_underWay.TryPeek(out ((int Segment, int Records) End, int Bytes) first) && first.End.CompareTo(held) <= 0)
                _bytes -= _underWay.Dequeue().Bytes;
        }
        _given.Release();
    }

    public void Dispose() => _given.Dispose();
}
