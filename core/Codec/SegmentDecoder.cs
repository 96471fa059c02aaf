using System.IO.Compression;
using System.Numerics;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>
/// Applies the records of one segment in order (docs/formats/record.md). It takes any bytes: what is wrong with them is an outcome, never an exception, and what
/// they make it allocate is bounded by <see cref="CodecLimits"/>. After the first refusal everything else of the segment is <see cref="DecodeOutcome.Broken"/>,
/// since values are coded against the values before. Allocates nothing in steady state. Not thread-safe.
/// </summary>
public sealed class SegmentDecoder
{
    private const int KeepBytes = 1 << 20;

    private readonly CodecLimits _limits;
    private readonly List<string> _dictionary = [];
    private readonly List<DecodedSource> _sources = [];
    private readonly List<Label> _labelScratch = [];
    private byte[] _inflated = [];
    private long _dictionaryBytes;
    private int _labels;
    private int _slots;

    /// <summary>Makes a decoder that stands at the start of a segment.</summary>
    public SegmentDecoder(CodecLimits? limits = null) => _limits = limits ?? CodecLimits.Default;

    /// <summary>Records applied so far: the index of the next one.</summary>
    public int Records { get; private set; }

    /// <summary>About what it keeps in memory: the dictionary, the slots and the labels.</summary>
    public long MemoryBytes => (_dictionaryBytes * 2) + (_slots * 40L) + (_labels * 16L);

    /// <summary>Whether a record was refused, so that nothing more of the segment can be applied.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The tick of the last applied record; the same object each time.</summary>
    public DecodedTick Tick { get; } = new();

    /// <summary>The sources by number.</summary>
    public IReadOnlyList<DecodedSource> Sources => _sources;

    /// <summary>Applies the next record. On any outcome but <see cref="DecodeOutcome.Applied"/> the tick must not be read.</summary>
    public DecodeOutcome Apply(ReadOnlySpan<byte> record)
    {
        if (IsBroken)
            return DecodeOutcome.Broken;
        DecodeOutcome outcome = ApplyRecord(record);
        if (outcome == DecodeOutcome.Applied)
            Records++;
        else
            IsBroken = true;
        return outcome;
    }

    private DecodeOutcome ApplyRecord(ReadOnlySpan<byte> record)
    {
        if (record.Length > _limits.RecordBytesMax || Records >= _limits.RecordsPerSegmentMax)
            return DecodeOutcome.OverLimit;
        var outer = new ByteSource(record);
        RecordHeader header = RecordHeader.Read(ref outer, _limits, out byte flags, out byte sections);
        if (outer.Ok && (header.NewName is null ? header.Source >= _sources.Count : header.Source != _sources.Count))
            outer.Fail(DecodeOutcome.Malformed);
        ReadOnlySpan<byte> body = (flags & RecordHeader.Compressed) != 0 ? Inflate(ref outer) : outer.Rest;
        if (!outer.Ok)
            return outer.Outcome;
        if (header.NewName is not null)
            _sources.Add(new DecodedSource(header.Source, header.NewName, header.IntervalMs));
        Tick.Clear();
        Tick.Source = _sources[header.Source];
        Tick.TimestampMs = header.TimestampMs;
        Tick.Samples = header.Samples;
        var inner = new ByteSource(body);
        ReadBody(ref inner, flags, sections);
        inner.End();
        if (_inflated.Length > KeepBytes)
            _inflated = [];
        return inner.Outcome;
    }

    private ReadOnlySpan<byte> Inflate(ref ByteSource outer)
    {
        ulong length = outer.Varint();
        ReadOnlySpan<byte> compressed = outer.Rest;
        // The bound stands before the allocation: both by size and by ratio, since Brotli turns a gibibyte into a kibibyte.
        if (length > (ulong)_limits.InflatedBytesMax || length > (ulong)compressed.Length * (ulong)_limits.InflationRatioMax)
        {
            outer.Fail(DecodeOutcome.OverLimit);
            return [];
        }
        if (_inflated.Length < (int)length)
            _inflated = new byte[(int)length];
        if (!BrotliDecoder.TryDecompress(compressed, _inflated.AsSpan(0, (int)length), out int written) || written != (int)length)
            outer.Fail(DecodeOutcome.Malformed);
        return _inflated.AsSpan(0, (int)length);
    }

    private void ReadBody(ref ByteSource source, byte flags, byte sections)
    {
        DecodedSource table = Tick.Source;
        if ((sections & RecordHeader.Definitions) != 0)
            ReadDefinitions(ref source, table);
        SlotState state = table.State;
        Tick.Fit(state.Words);
        if ((sections & RecordHeader.PresentBits) != 0)
            BitmapCode.ReadXor(ref source, state.Present.AsSpan(0, state.Words));
        if ((sections & RecordHeader.EndedBits) != 0)
            BitmapCode.ReadXor(ref source, Tick.EndedWords.AsSpan(0, state.Words));
        ReadChanged(ref source, state, (flags & RecordHeader.OtherChanges) != 0);
        if ((sections & RecordHeader.Timed) != 0)
            ReadTimed(ref source, table);
        if ((sections & RecordHeader.Starts) != 0)
            ReadStarts(ref source, table);
        if ((sections & RecordHeader.Histograms) != 0)
            ReadHistograms(ref source, table);
        if ((sections & RecordHeader.Exemplars) != 0)
            ReadExemplars(ref source, table);
        if ((sections & RecordHeader.Metadata) != 0)
            ReadMetadata(ref source);
    }

    private void ReadDefinitions(ref ByteSource source, DecodedSource table)
    {
        int strings = source.Count(1, _limits.StringsPerSegmentMax - _dictionary.Count);
        for (int i = 0; i < strings && source.Ok; i++)
        {
            int before = source.Left;
            _dictionary.Add(source.String(_limits.StringBytesMax));
            _dictionaryBytes += before - source.Left;
            if (_dictionaryBytes > _limits.DictionaryBytesMax + _dictionary.Count * 3L)
                source.Fail(DecodeOutcome.OverLimit);
        }
        int series = source.Count(2, _limits.SlotsPerSourceMax);
        long slot = -1;
        for (int i = 0; i < series && source.Ok; i++)
        {
            ulong gap = source.Varint();
            if (gap >= (ulong)_limits.SlotsPerSourceMax || (slot += 1 + (long)gap) >= _limits.SlotsPerSourceMax)
            {
                source.Fail(source.Ok ? DecodeOutcome.OverLimit : source.Outcome);
                return;
            }
            DefineOne(ref source, table, (int)slot);
        }
    }

    private void DefineOne(ref ByteSource source, DecodedSource table, int slot)
    {
        int more = slot + 1 - table.Count;
        if (more > 0)
        {
            if (more > _limits.SlotsPerSegmentMax - _slots)
            {
                source.Fail(DecodeOutcome.OverLimit);
                return;
            }
            _slots += more;
            table.Extend(slot + 1);
        }
        if (table[slot] is not null)
        {
            source.Fail(DecodeOutcome.Malformed);
            return;
        }
        Labels? labels = ReadLabels(ref source);
        if (labels is null)
            return;
        table.Define(slot, labels);
        Tick.Defined.Add(slot);
    }

    private Labels? ReadLabels(ref ByteSource source)
    {
        int count = source.Count(2, Math.Min(_limits.LabelsPerSeriesMax, _limits.LabelsPerSegmentMax - _labels));
        _labels += count;
        _labelScratch.Clear();
        for (int i = 0; i < count; i++)
        {
            ulong name = source.Varint(), value = source.Varint();
            if (name >= (ulong)_dictionary.Count || value >= (ulong)_dictionary.Count)
            {
                source.Fail(DecodeOutcome.Malformed);
                return null;
            }
            _labelScratch.Add(new Label(_dictionary[(int)name], _dictionary[(int)value]));
        }
        return FromScratch(ref source);
    }

    /// <summary>The labels in the scratch list as a set; null (and failed) unless they are sorted, unique and not empty.</summary>
    private Labels? FromScratch(ref ByteSource source)
    {
        if (!source.Ok)
            return null;
        Labels? labels = Labels.TryFromSorted(CollectionsMarshal.AsSpan(_labelScratch));
        if (labels is null)
            source.Fail(DecodeOutcome.Malformed);
        return labels;
    }

    private void ReadChanged(ref ByteSource source, SlotState state, bool others)
    {
        if (!source.Ok)
            return;
        int words = state.Words;
        Span<ulong> changed = Tick.ChangedWords.AsSpan(0, words);
        state.Changed.AsSpan(0, words).CopyTo(changed);
        if (others)
            BitmapCode.ReadXor(ref source, changed);
        ulong wrong = 0;
        int count = 0;
        for (int w = 0; w < words; w++)
        {
            ulong present = state.Present[w], now = changed[w];
            // Only what is defined can be there or end, only what is there can change, and what did not change must be known.
            wrong |= (present | Tick.EndedWords[w]) & ~state.Defined[w];
            wrong |= (now & ~present) | (present & ~now & ~state.Known[w]);
            count += BitOperations.PopCount(now);
        }
        if (wrong != 0)
            source.Fail(DecodeOutcome.Malformed);
        else if (count > source.Left)
            source.Fail(DecodeOutcome.Truncated);
        if (source.Ok)
            ReadValues(ref source, state, changed);
    }

    private static void ReadValues(ref ByteSource source, SlotState state, ReadOnlySpan<ulong> changed)
    {
        double[] last = state.Last;
        long[] mantissa = state.Mantissa;
        byte[] scale = state.Scale;
        for (int w = 0; w < changed.Length; w++)
        {
            ulong now = changed[w], known = state.Known[w];
            for (ulong bits = now; bits != 0; bits &= bits - 1)
            {
                int slot = (w << 6) + BitOperations.TrailingZeroCount(bits);
                ValueCode.Read(ref source, ref last[slot], ref mantissa[slot], ref scale[slot]);
            }
            state.Changed[w] = now & known;
            state.Known[w] = known | now;
        }
    }

    private static int ReadSlot(ref ByteSource source, DecodedSource table, int previous)
    {
        long delta = source.Signed();
        long slot = delta is > int.MaxValue or < int.MinValue ? -1 : previous + delta;
        if (slot is >= 0 and <= int.MaxValue && table.IsDefined((int)slot))
            return (int)slot;
        source.Fail(DecodeOutcome.Malformed);
        return 0;
    }

    private void ReadTimed(ref ByteSource source, DecodedSource table)
    {
        int count = source.Count(3, int.MaxValue), slot = 0;
        long time = Tick.TimestampMs;
        SlotState state = table.State;
        for (int i = 0; i < count; i++)
        {
            slot = ReadSlot(ref source, table, slot);
            time += source.Signed();
            if (!source.Ok)
                return;
            ValueCode.Read(ref source, ref state.Last[slot], ref state.Mantissa[slot], ref state.Scale[slot]);
            state.Known[slot >> 6] &= ~(1UL << slot);
            Tick.Timed.Add(new TimedSample(slot, time, state.Last[slot]));
        }
    }

    private void ReadStarts(ref ByteSource source, DecodedSource table)
    {
        int count = source.Count(2, int.MaxValue), slot = 0;
        for (int i = 0; i < count; i++)
        {
            slot = ReadSlot(ref source, table, slot);
            long start = Tick.TimestampMs + source.Signed();
            if (!source.Ok)
                return;
            table.SetStart(slot, start);
            Tick.Starts.Add(new SlotStart(slot, start));
        }
    }

    private void ReadHistograms(ref ByteSource source, DecodedSource table)
    {
        int count = source.Count(12, int.MaxValue), slot = 0;
        for (int i = 0; i < count; i++)
        {
            slot = ReadSlot(ref source, table, slot);
            long time = ReadTime(ref source) ?? 0;
            NativeHistogram? histogram = HistogramCode.Read(ref source, _limits);
            if (histogram is null)
                return;
            Tick.Histograms.Add(new SlotHistogram(slot, histogram, time));
        }
    }

    private void ReadExemplars(ref ByteSource source, DecodedSource table)
    {
        int count = source.Count(4, int.MaxValue), slot = 0;
        for (int i = 0; i < count; i++)
        {
            slot = ReadSlot(ref source, table, slot);
            int labels = source.Count(2, _limits.LabelsPerSeriesMax);
            _labelScratch.Clear();
            for (int l = 0; l < labels; l++)
                _labelScratch.Add(new Label(source.String(_limits.StringBytesMax), source.String(_limits.StringBytesMax)));
            Labels? set = FromScratch(ref source);
            double value = ValueCode.ReadAlone(ref source);
            long? time = ReadTime(ref source);
            if (!source.Ok || set is null)
                return;
            Tick.Exemplars.Add(new SlotExemplar(slot, new Exemplar(set, value, time)));
        }
    }

    private long? ReadTime(ref ByteSource source)
    {
        byte given = source.Byte();
        if (given > 1)
            source.Fail(DecodeOutcome.Malformed);
        return given == 1 ? Tick.TimestampMs + source.Signed() : null;
    }

    private void ReadMetadata(ref ByteSource source)
    {
        int count = source.Count(4, int.MaxValue);
        for (int i = 0; i < count; i++)
        {
            string family = source.String(_limits.StringBytesMax);
            byte type = source.Byte();
            if (type > (byte)MetricType.StateSet)
                source.Fail(DecodeOutcome.Malformed);
            string help = source.String(_limits.HelpBytesMax), unit = source.String(_limits.HelpBytesMax);
            if (!source.Ok)
                return;
            Tick.Metadata.Add(new FamilyMetadata(family, new MetricMetadata((MetricType)type, help, unit)));
        }
    }
}
