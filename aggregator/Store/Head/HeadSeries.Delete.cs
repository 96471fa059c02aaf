namespace Bellwether.Store.Head;

// Samples that are deleted leave memory at once; the log before is made needless by a cut that follows (StoreEngine.Delete.cs).
internal sealed partial class HeadSeries
{
    /// <summary>Drops the samples of a time range (Unix ms, inclusive); false: there are none. Exemplars stay. Under the head's write lock.</summary>
    /// <param name="scratch">Reused.</param>
    public bool Delete(long fromMs, long toMs, long slotMs, HeadPools pools, SampleGather scratch)
    {
        if (!Overlaps(fromMs, toMs))
            return false;
        scratch.Begin();
        if (fromMs > long.MinValue)
            Read(long.MinValue, fromMs - 1, scratch);
        if (toMs < long.MaxValue)
            Read(toMs + 1, long.MaxValue, scratch);
        scratch.Resolve();
        DropBefore(long.MaxValue, pools);
        NewestMs = Never;
        for (int i = 0; i < scratch.Count; i++)
        {
            if (scratch.HistogramAt(i) is { } histogram)
                Append(scratch.Times[i], histogram);
            else
                Append(scratch.Times[i], scratch.Values[i], slotMs, pools);
            SetStart(scratch.Times[i], scratch.StartAt(i));
        }
        return true;
    }
}
