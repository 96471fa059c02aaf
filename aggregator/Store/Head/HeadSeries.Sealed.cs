namespace Bellwether.Store.Head;

// What a series does with its sealed blocks: their times hang together in its run, their pieces from the newest one back, in step.
internal sealed partial class HeadSeries
{
    private void ReadSealed(SealedRun newest, long fromMs, long toMs, SampleGather into)
    {
        int total = 0;
        for (SealedRun? run = newest; run is not null && run.Times.LastMs >= fromMs; run = run.Before)
            total += run.Times.FirstMs <= toMs ? run.Times.Count : 0;
        if (total == 0)
            return;
        into.Extend(total, out Span<long> times, out Span<double> values);
        uint piece = _sealed;
        int at = total;
        for (SealedRun? run = newest; at > 0; run = run.Before)
        {
            SealedPiece block = new(newest.Memory[piece]);
            if (run!.Times.FirstMs <= toMs)
            {
                at -= run.Times.Count;
                into.CopyTimes(run.Times, times.Slice(at, run.Times.Count));
                block.Decode(values.Slice(at, run.Times.Count));
            }
            piece = block.Before;
        }
        into.Close(total, fromMs, toMs);
    }

    private void DropSealed(SealedRun newest, long timeMs, HeadPools pools, TouchedPartitions? touched)
    {
        SealedTimes[] times = newest.ToArray();
        Span<uint> pieces = times.Length <= 64 ? stackalloc uint[times.Length] : new uint[times.Length];
        SealedPiece.Collect(_sealed, pools.Memory, pieces);
        _run = null;
        _sealed = 0;
        for (int i = 0; i < times.Length; i++)
        {
            // A block lies in one partition.
            if (times[i].LastMs < timeMs && touched?.Has(this, times[i].LastMs) != true)
            {
                pools.Memory.Return(pieces[i]);
                continue;
            }
            SealedPiece.Follow(pieces[i], _sealed, pools.Memory);
            _sealed = pieces[i];
            _run = pools.Run(_run, times[i]);
        }
    }

    private bool TryFindSealed(long timeMs, HeadPools pools, out double value)
    {
        value = 0;
        uint piece = _sealed;
        for (SealedRun? run = _run; run is not null && timeMs <= run.Times.LastMs; run = run.Before)
        {
            SealedPiece block = new(pools.Memory[piece]);
            if (timeMs < run.Times.FirstMs)
            {
                piece = block.Before;
                continue;
            }
            Span<long> times = pools.Times.AsSpan(0, run.Times.Count);
            run.Times.Decode(times);
            int at = times.BinarySearch(timeMs);
            if (at < 0)
                return false;
            Span<double> values = pools.Values.AsSpan(0, run.Times.Count);
            block.Decode(values);
            value = values[at];
            return true;
        }
        return false;
    }
}
