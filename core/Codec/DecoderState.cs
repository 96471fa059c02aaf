using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>A decoder's state as bytes (docs/formats/segment.md, "Decoder state"): for the WAL's checkpoint, and so trusted to be whole, but read with the same care.</summary>
internal static class DecoderState
{
    private const byte Version = 1;

    public static ByteSink Write(int records, List<string> dictionary, List<DecodedSource> sources)
    {
        var sink = new ByteSink();
        var ids = new Dictionary<string, int>(dictionary.Count);
        sink.Byte(Version);
        sink.Varint((ulong)records);
        sink.Varint((ulong)dictionary.Count);
        for (int i = 0; i < dictionary.Count; i++)
        {
            sink.String(dictionary[i]);
            ids.TryAdd(dictionary[i], i);
        }
        sink.Varint((ulong)sources.Count);
        foreach (DecodedSource source in sources)
            WriteSource(sink, source, ids);
        return sink;
    }

    public static int Read(ref ByteSource source, CodecLimits limits, List<string> dictionary, List<DecodedSource> sources)
    {
        if (source.Byte() != Version)
            source.Fail(DecodeOutcome.UnknownVersion);
        ulong records = source.Varint();
        if (records > (ulong)limits.RecordsPerSegmentMax)
            source.Fail(DecodeOutcome.OverLimit);
        int strings = source.Count(1, limits.StringsPerSegmentMax);
        for (int i = 0; i < strings && source.Ok; i++)
            dictionary.Add(source.String(limits.StringBytesMax));
        int count = source.Count(3, limits.SourcesPerSegmentMax);
        int slots = 0;
        for (int i = 0; i < count && source.Ok; i++)
            sources.Add(ReadSource(ref source, i, limits, dictionary, ref slots));
        return (int)records;
    }

    private static void WriteSource(ByteSink sink, DecodedSource source, Dictionary<string, int> ids)
    {
        SlotState state = source.State;
        sink.String(source.Name);
        sink.Varint((ulong)source.IntervalMs);
        sink.Varint((ulong)source.Count);
        for (int slot = 0; slot < source.Count; slot++)
        {
            Labels? labels = source[slot];
            sink.Byte(labels is null ? (byte)0 : (byte)1);
            if (labels is null)
                continue;
            sink.Varint((ulong)labels.Count);
            foreach (ref readonly Label label in labels.AsSpan())
            {
                sink.Varint((ulong)ids[label.Name]);
                sink.Varint((ulong)ids[label.Value]);
            }
            sink.Fixed64(BitConverter.DoubleToUInt64Bits(state.Last[slot]));
            sink.Signed(state.Mantissa[slot]);
            sink.Byte(state.Scale[slot]);
            sink.Signed(source.StartOf(slot));
        }
        for (int w = 0; w < state.Words; w++)
        {
            sink.Fixed64(state.Known[w]);
            sink.Fixed64(state.Present[w]);
            sink.Fixed64(state.Changed[w]);
        }
    }

    private static DecodedSource ReadSource(ref ByteSource source, int number, CodecLimits limits, List<string> dictionary, ref int slots)
    {
        string name = source.String(limits.StringBytesMax);
        ulong interval = source.Varint();
        if (interval > int.MaxValue)
            source.Fail(DecodeOutcome.Malformed);
        var read = new DecodedSource(number, name, (int)interval);
        int count = source.Count(1, Math.Min(limits.SlotsPerSourceMax, limits.SlotsPerSegmentMax - slots));
        slots += count;
        read.Extend(count);
        for (int slot = 0; slot < count && source.Ok; slot++)
        {
            if (source.Byte() != 0)
                ReadSlot(ref source, read, slot, limits, dictionary);
        }
        SlotState state = read.State;
        for (int w = 0; w < state.Words && source.Ok; w++)
        {
            state.Known[w] = source.Fixed64();
            state.Present[w] = source.Fixed64();
            state.Changed[w] = source.Fixed64();
            if (((state.Known[w] | state.Present[w] | state.Changed[w]) & ~state.Defined[w]) != 0)
                source.Fail(DecodeOutcome.Malformed);
        }
        return read;
    }

    private static void ReadSlot(ref ByteSource source, DecodedSource into, int slot, CodecLimits limits, List<string> dictionary)
    {
        var labels = new Label[source.Count(2, limits.LabelsPerSeriesMax)];
        bool fits = true;
        for (int i = 0; i < labels.Length; i++)
        {
            ulong name = source.Varint(), value = source.Varint();
            if (name >= (ulong)dictionary.Count || value >= (ulong)dictionary.Count)
            {
                source.Fail(DecodeOutcome.Malformed);
                return;
            }
            labels[i] = new Label(dictionary[(int)name], dictionary[(int)value]);
            fits &= labels[i].Name.Length > 0 && labels[i].Value.Length > 0 && (i == 0 || Utf8Order.Compare(labels[i - 1].Name, labels[i].Name) < 0);
        }
        SlotState state = into.State;
        state.Last[slot] = BitConverter.UInt64BitsToDouble(source.Fixed64());
        state.Mantissa[slot] = source.Signed();
        state.Scale[slot] = source.Byte();
        long start = source.Signed();
        if (!fits || !ValueCode.IsScale(state.Scale[slot]))
            source.Fail(DecodeOutcome.Malformed);
        if (!source.Ok)
            return;
        into.Define(slot, Labels.FromSorted(labels));
        if (start != 0)
            into.SetStart(slot, start);
    }
}
