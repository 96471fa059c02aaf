using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Head;

// How rare samples stand in a saved head (docs/formats/head.md).
internal sealed partial class RareSamples
{
    public void Save(ByteWriter into)
    {
        SaveRun(_lateTimes, _lateValues, _lateCount, into);
        SaveRun(_freshTimes, _freshValues, _freshCount, into);
        into.Varint((ulong)(_histograms?.Count ?? 0));
        foreach ((long time, NativeHistogram histogram) in _histograms ?? [])
        {
            into.Zigzag(time);
            HistogramCodec.Write(histogram, into);
        }
        into.Varint((ulong)(_starts?.Count ?? 0));
        foreach ((long from, long start) in _starts ?? [])
        {
            into.Zigzag(from);
            into.Zigzag(start);
        }
        into.Varint((ulong)(_exemplars?.Count ?? 0));
        foreach (Exemplar exemplar in _exemplars ?? [])
            RecordFrame.WriteExemplar(exemplar, into);
    }

    public static RareSamples Restore(ref ByteReader from, HeadPools pools)
    {
        var read = new RareSamples();
        (read._lateTimes, read._lateValues, read._lateCount) = RestoreRun(ref from);
        (read._freshTimes, read._freshValues, read._freshCount) = RestoreRun(ref from);
        pools.LateSamples += read._lateCount + read._freshCount;
        int histograms = from.Count(from.Left);
        if (histograms > 0)
            read._histograms = new(histograms);
        for (int i = 0; i < histograms; i++)
            read._histograms!.Add((from.Zigzag(), HistogramCodec.Read(ref from)));
        int starts = from.Count(from.Left);
        if (starts > 0)
            read._starts = new(starts);
        for (int i = 0; i < starts; i++)
            read._starts!.Add((from.Zigzag(), from.Zigzag()));
        int exemplars = from.Count(from.Left);
        if (exemplars > 0)
            read._exemplars = new(exemplars);
        for (int i = 0; i < exemplars; i++)
            read._exemplars!.Add(RecordFrame.ReadExemplar(ref from));
        return read;
    }

    private static void SaveRun(long[] times, double[] values, int count, ByteWriter into)
    {
        into.Varint((ulong)count);
        long before = 0;
        for (int i = 0; i < count; i++)
        {
            into.Zigzag(times[i] - before);
            before = times[i];
        }
        into.Doubles(values.AsSpan(0, count));
    }

    private static (long[] Times, double[] Values, int Count) RestoreRun(ref ByteReader from)
    {
        int count = from.Count(from.Left / 9);
        if (count == 0)
            return ([], [], 0);
        (long[] times, double[] values) = (new long[count], new double[count]);
        long before = 0;
        for (int i = 0; i < count; i++)
            before = times[i] = before + from.Zigzag();
        from.Doubles(values);
        return (times, values, count);
    }
}
