using Bellwether.Store.Head;

namespace Bellwether.Store;

// What is due by time.
public sealed partial class StoreEngine
{
    /// <summary>Does what is due now: samples whose time has come.</summary>
    public void Maintain()
    {
        _head.NowMs = NowMs();
        _batches.Begin();
        _index.Gate.EnterWriteLock();
        try
        {
            ReleaseHeld();
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        LogBatch();
    }

    // They go into the log again: the files with the records that brought them may be gone before the samples stand in chunk files.
    private void ReleaseHeld()
    {
        int kept = 0;
        for (int i = 0; i < _head.Held.Count; i++)
        {
            HeldSample held = _head.Held[i];
            if (_head.Judge(held.TimeMs) == Core.Model.AppendOutcome.TooNew)
            {
                _head.Held[kept++] = held;
                continue;
            }
            if (_head.Resolve(held.Labels, out Core.Model.AppendOutcome refused, out _) is not { } series)
            {
                _head.Count(refused);
                continue;
            }
            _batches.Add(series, held.TimeMs, held.Value, held.Histogram, held.StartMs);
            if (held.Histogram is { } histogram)
                _head.Append(series, held.TimeMs, histogram, held.StartMs);
            else
                _head.Append(series, held.TimeMs, held.Value, held.StartMs);
        }
        _head.Held.RemoveRange(kept, _head.Held.Count - kept);
    }
}
