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

    private void DropSealed(SealedRun newest, long timeMs, HeadPools pools)
    {
        uint piece = _sealed, last = 0;
        int kept = 0;
        for (SealedRun? run = newest; run is not null && run.Times.LastMs >= timeMs; run = run.Before, kept++)
            (last, piece) = (piece, new SealedPiece(pools.Memory[piece]).Before);
        if (last == 0)
            _sealed = 0;
        else
            SealedPiece.CutOff(last, pools.Memory);
        while (piece != 0)
        {
            uint before = new SealedPiece(pools.Memory[piece]).Before;
            pools.Memory.Return(piece);
            piece = before;
        }
        if (kept == newest.Count)
            return;
        SealedTimes[] times = newest.ToArray();
        _run = null;
        foreach (SealedTimes one in times.AsSpan(times.Length - kept))
            _run = pools.Run(_run, one);
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
