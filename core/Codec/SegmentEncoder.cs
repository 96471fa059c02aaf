using System.IO.Compression;
using System.Numerics;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>
/// Turns completed ticks into the records of a segment (docs/formats/record.md, docs/formats/segment.md). Every completed tick of a source must be handed over,
/// in order; where one is lost on the way, <see cref="StartSegment"/> makes a clean start. Allocates nothing in steady state. Not thread-safe.
/// </summary>
public sealed class SegmentEncoder
{
    /// <summary>Below this a body is not worth a compressor's time.</summary>
    private const int CompressBytesMin = 256;

    /// <summary>What a body may keep of the buffers after a very large record.</summary>
    private const int KeepBytes = 1 << 20;

    /// <summary>How often a slot in XOR form looks for a decimal scale again, in ticks.</summary>
    private const int SearchEvery = 16;

    private readonly CodecLimits _limits;
    private readonly Dictionary<SourceTable, EncoderSource> _sources = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, SourceTable> _tables = [];
    private readonly Dictionary<string, int> _dictionary = [];
    private readonly List<SlotStart> _starts = [];
    private readonly ByteSink _record = new();
    private readonly ByteSink _body = new();
    private readonly ByteSink _strings = new();
    private readonly ByteSink _series = new();
    private byte[] _compressed = [];
    private ulong[] _words = [];
    private long _dictionaryBytes;
    private int _labels;
    private int _slots;
    private int _sourceCount;
    private int _segment;
    private bool _spent;

    /// <summary>Makes an encoder that stands at the start of a segment.</summary>
    public SegmentEncoder(CodecLimits? limits = null) => _limits = limits ?? CodecLimits.Default;

    /// <summary>Records encoded into the segment so far.</summary>
    public int Records { get; private set; }

    /// <summary>Bytes of these records.</summary>
    public long Bytes { get; private set; }

    /// <summary>The last encoded record; valid until the next call.</summary>
    public ReadOnlySpan<byte> Record => _record.Written;

    /// <summary>Samples in the last encoded record, stale markers included.</summary>
    public long Samples { get; private set; }

    /// <summary>
    /// Starts a new segment with an empty dictionary. Metadata is long and seldom needed: it is repeated only <paramref name="withMetadata"/>, else only what is new goes in.
    /// </summary>
    public void StartSegment(bool withMetadata)
    {
        foreach ((SourceTable table, EncoderSource source) in _sources)
        {
            if (source.Segment != _segment)
            {
                _sources.Remove(table);
                if (_tables.TryGetValue(table.Name, out SourceTable? current) && ReferenceEquals(current, table))
                    _tables.Remove(table.Name);
            }
            else if (withMetadata)
            {
                source.MetadataSent = 0;
            }
        }
        _dictionary.Clear();
        _dictionaryBytes = 0;
        _labels = _slots = _sourceCount = 0;
        _segment++;
        _spent = false;
        Records = 0;
        Bytes = 0;
    }

    /// <summary>Encodes one completed tick.</summary>
    public EncodeOutcome Encode(SourceTick tick)
    {
        if (_spent || Records >= _limits.RecordsPerSegmentMax)
            return EncodeOutcome.SegmentFull;
        if (Encoding.UTF8.GetMaxByteCount(tick.Table.Name.Length) > _limits.StringBytesMax)
            return Spend();
        bool isNew = !TrySource(tick.Table, out EncoderSource? source);
        if (isNew && source is null)
            return Spend();
        EncodeOutcome outcome = EncodeBody(tick, source!, out byte flags, out byte sections);
        if (outcome != EncodeOutcome.Encoded)
            return outcome;
        WriteRecord(tick, source!, isNew ? (byte)(flags | RecordHeader.NewSource) : flags, sections);
        if (_record.Length > _limits.RecordBytesMax)
            return Spend();
        source!.Ticks++;
        Records++;
        Bytes += _record.Length;
        _body.Trim(KeepBytes);
        return EncodeOutcome.Encoded;
    }

    private EncodeOutcome Spend()
    {
        _spent = true;
        return Records > 0 ? EncodeOutcome.SegmentFull : EncodeOutcome.OverLimit;
    }

    /// <summary>Finds the source's state; false when it is new to the segment (and null when no more fit).</summary>
    private bool TrySource(SourceTable table, out EncoderSource? source)
    {
        if (_sources.TryGetValue(table, out source) && source.Segment == _segment)
            return true;
        if (_sourceCount == _limits.SourcesPerSegmentMax)
        {
            source = null;
            return false;
        }
        if (source is null)
        {
            // A collector that started a new table will not come back to the old one.
            if (_tables.TryGetValue(table.Name, out SourceTable? old))
                _sources.Remove(old);
            source = new EncoderSource(table);
            _sources[table] = source;
            _tables[table.Name] = table;
        }
        source.Enter(_segment, _sourceCount++);
        return false;
    }

    private EncodeOutcome EncodeBody(SourceTick tick, EncoderSource source, out byte flags, out byte sections)
    {
        _body.Clear();
        _starts.Clear();
        flags = sections = 0;
        if (FindUndefined(tick, source.State) && !Define(source))
            return Spend();
        if (_series.Length > 0)
            sections |= RecordHeader.Definitions;
        long samples = 0;
        if (WritePresent(tick, source.State, ref samples))
            sections |= RecordHeader.PresentBits;
        if (WriteEnded(tick, source.State, ref samples))
            sections |= RecordHeader.EndedBits;
        if (WriteChanged(tick, source))
            flags |= RecordHeader.OtherChanges;
        samples += tick.Timed.Count + tick.Histograms.Count;
        if (tick.Timed.Count > 0)
        {
            sections |= RecordHeader.Timed;
            WriteTimed(tick, source.State);
        }
        if (CollectStarts(tick, source))
        {
            sections |= RecordHeader.Starts;
            WriteStarts(tick);
        }
        if (tick.Histograms.Count > 0)
        {
            sections |= RecordHeader.Histograms;
            if (!WriteHistograms(tick))
                return Spend();
        }
        if (tick.Exemplars.Count > 0)
        {
            sections |= RecordHeader.Exemplars;
            if (!WriteExemplars(tick))
                return Spend();
        }
        if (source.MetadataSent < source.Table.MetadataLog.Count)
        {
            sections |= RecordHeader.Metadata;
            if (!WriteMetadata(source))
                return Spend();
        }
        Samples = samples;
        return _body.Length > _limits.InflatedBytesMax ? Spend() : EncodeOutcome.Encoded;
    }

    /// <summary>Puts into <see cref="_words"/> the slots of the tick that the segment does not know; false when there is none.</summary>
    private bool FindUndefined(SourceTick tick, SlotState state)
    {
        _series.Clear();
        ReadOnlySpan<ulong> present = tick.Present, ended = tick.Ended, defined = state.Defined;
        int words = (tick.Table.Count + 63) >> 6;
        if (_words.Length < words)
            _words = new ulong[words];
        ulong any = 0;
        for (int w = 0; w < words; w++)
        {
            ulong need = present[w] | ended[w];
            if (w < defined.Length)
                need &= ~defined[w];
            _words[w] = need;
            any |= need;
        }
        foreach (TimedSample timed in tick.Timed)
            any |= Need(timed.Slot, defined);
        foreach (SlotHistogram histogram in tick.Histograms)
            any |= Need(histogram.Slot, defined);
        foreach (SlotStart start in tick.Starts)
            any |= Need(start.Slot, defined);
        foreach (SlotExemplar exemplar in tick.Exemplars)
            any |= Need(exemplar.Slot, defined);
        return any != 0;
    }

    private ulong Need(int slot, ReadOnlySpan<ulong> defined)
    {
        if (SourceTick.IsSet(defined, slot))
            return 0;
        return _words[slot >> 6] |= 1UL << slot;
    }

    /// <summary>Writes the definitions of the slots in <see cref="_words"/>; false at a limit.</summary>
    private bool Define(EncoderSource source)
    {
        SourceTable table = source.Table;
        SlotState state = source.State;
        int words = (table.Count + 63) >> 6;
        int top = _words.AsSpan(0, words).LastIndexOfAnyExcept(0UL);
        int slots = (top << 6) + 64 - BitOperations.LeadingZeroCount(_words[top]);
        if (slots > _limits.SlotsPerSourceMax || _slots + Math.Max(0, slots - state.Slots) > _limits.SlotsPerSegmentMax)
            return false;
        _slots += Math.Max(0, slots - state.Slots);
        state.Extend(slots);
        _strings.Clear();
        int strings = _dictionary.Count, series = 0, next = 0;
        for (int w = 0; w <= top; w++)
        {
            for (ulong bits = _words[w]; bits != 0; bits &= bits - 1)
            {
                int slot = (w << 6) + BitOperations.TrailingZeroCount(bits);
                _series.Varint((ulong)(slot - next));
                next = slot + 1;
                series++;
                if (!WriteLabels(table[slot]))
                    return false;
                if (slot < source.Starts.Length && source.Starts[slot] != 0)
                    _starts.Add(new SlotStart(slot, source.Starts[slot]));
            }
            state.Defined[w] |= _words[w];
        }
        if (_dictionary.Count > _limits.StringsPerSegmentMax || _dictionaryBytes > _limits.DictionaryBytesMax || _labels > _limits.LabelsPerSegmentMax)
            return false;
        _body.Varint((ulong)(_dictionary.Count - strings));
        _body.Bytes(_strings.Written);
        _body.Varint((ulong)series);
        _body.Bytes(_series.Written);
        return true;
    }

    private bool WriteLabels(Labels labels)
    {
        if (labels.Count > _limits.LabelsPerSeriesMax)
            return false;
        _labels += labels.Count;
        _series.Varint((ulong)labels.Count);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (!WriteReference(label.Name) || !WriteReference(label.Value))
                return false;
        }
        return true;
    }

    private bool WriteReference(string text)
    {
        if (!_dictionary.TryGetValue(text, out int id))
        {
            id = _dictionary.Count;
            _dictionary.Add(text, id);
            int bytes = _strings.String(text);
            _dictionaryBytes += bytes;
            if (bytes > _limits.StringBytesMax)
                return false;
        }
        _series.Varint((ulong)id);
        return true;
    }

    private bool WritePresent(SourceTick tick, SlotState state, ref long samples)
    {
        ReadOnlySpan<ulong> present = tick.Present;
        int words = state.Words, count = 0;
        ulong any = 0;
        for (int w = 0; w < words; w++)
        {
            ulong now = present[w];
            _words[w] = now ^ state.Present[w];
            any |= _words[w];
            state.Present[w] = now;
            count += BitOperations.PopCount(now);
        }
        samples += count;
        if (any != 0)
            BitmapCode.Write(_body, _words.AsSpan(0, words));
        return any != 0;
    }

    private bool WriteEnded(SourceTick tick, SlotState state, ref long samples)
    {
        ReadOnlySpan<ulong> ended = tick.Ended[..state.Words];
        if (ended.IndexOfAnyExcept(0UL) < 0)
            return false;
        foreach (ulong word in ended)
            samples += BitOperations.PopCount(word);
        BitmapCode.Write(_body, ended);
        return true;
    }

    /// <summary>Writes which slots changed and their values; returns whether the slots are others than in the tick before.</summary>
    private bool WriteChanged(SourceTick tick, EncoderSource source)
    {
        SlotState state = source.State;
        ReadOnlySpan<ulong> present = tick.Present, changed = tick.Changed;
        int words = state.Words, count = 0;
        ulong any = 0;
        for (int w = 0; w < words; w++)
        {
            ulong now = present[w] & (changed[w] | ~state.Known[w]);
            ulong other = now ^ state.Changed[w];
            _words[w] = other;
            any |= other;
            state.Changed[w] = now;
            count += BitOperations.PopCount(now);
        }
        if (any != 0)
            BitmapCode.Write(_body, _words.AsSpan(0, words));
        WriteValues(tick.Values, state, count, source.Ticks % SearchEvery == 0);
        return any != 0;
    }

    private void WriteValues(ReadOnlySpan<double> values, SlotState state, int count, bool search)
    {
        Span<byte> into = _body.Room(count * ValueCode.BytesMax);
        double[] last = state.Last;
        long[] mantissa = state.Mantissa;
        byte[] scale = state.Scale;
        int at = 0;
        for (int w = 0; w < state.Words; w++)
        {
            ulong now = state.Changed[w], known = state.Known[w];
            for (ulong bits = now; bits != 0; bits &= bits - 1)
            {
                int slot = (w << 6) + BitOperations.TrailingZeroCount(bits);
                bool first = (known & (bits & (0 - bits))) == 0;
                at += ValueCode.Write(into[at..], values[slot], ref last[slot], ref mantissa[slot], ref scale[slot], search | first);
            }
            state.Changed[w] = now & known;
            state.Known[w] = known | now;
        }
        _body.Length += at;
    }

    private void WriteTimed(SourceTick tick, SlotState state)
    {
        _body.Varint((ulong)tick.Timed.Count);
        int slot = 0;
        long time = tick.TimestampMs;
        foreach (TimedSample sample in tick.Timed)
        {
            _body.Signed(sample.Slot - slot);
            _body.Signed(sample.TimestampMs - time);
            slot = sample.Slot;
            time = sample.TimestampMs;
            _body.Length += ValueCode.Write(_body.Room(ValueCode.BytesMax), sample.Value, ref state.Last[slot], ref state.Mantissa[slot], ref state.Scale[slot], search: true);
            // The column's "unchanged" would now mean this value: the next column value is written out.
            state.Known[slot >> 6] &= ~(1UL << slot);
        }
    }

    private bool CollectStarts(SourceTick tick, EncoderSource source)
    {
        foreach (SlotStart start in tick.Starts)
        {
            source.SetStart(start.Slot, start.StartMs);
            _starts.Add(start);
        }
        return _starts.Count > 0;
    }

    private void WriteStarts(SourceTick tick)
    {
        _body.Varint((ulong)_starts.Count);
        int slot = 0;
        foreach (SlotStart start in _starts)
        {
            _body.Signed(start.Slot - slot);
            _body.Signed(start.StartMs - tick.TimestampMs);
            slot = start.Slot;
        }
    }

    private bool WriteHistograms(SourceTick tick)
    {
        _body.Varint((ulong)tick.Histograms.Count);
        int slot = 0;
        foreach (SlotHistogram histogram in tick.Histograms)
        {
            if (!HistogramCode.IsWithin(histogram.Histogram, _limits))
                return false;
            _body.Signed(histogram.Slot - slot);
            slot = histogram.Slot;
            WriteTime(histogram.TimestampMs == 0 ? null : histogram.TimestampMs, tick.TimestampMs);
            HistogramCode.Write(_body, histogram.Histogram);
        }
        return true;
    }

    private bool WriteExemplars(SourceTick tick)
    {
        _body.Varint((ulong)tick.Exemplars.Count);
        int slot = 0;
        foreach (SlotExemplar entry in tick.Exemplars)
        {
            Exemplar exemplar = entry.Exemplar;
            if (exemplar.Labels.Count > _limits.LabelsPerSeriesMax)
                return false;
            _body.Signed(entry.Slot - slot);
            slot = entry.Slot;
            _body.Varint((ulong)exemplar.Labels.Count);
            foreach (ref readonly Label label in exemplar.Labels.AsSpan())
            {
                if (_body.String(label.Name) > _limits.StringBytesMax || _body.String(label.Value) > _limits.StringBytesMax)
                    return false;
            }
            ValueCode.WriteAlone(_body, exemplar.Value);
            WriteTime(exemplar.TimestampMs, tick.TimestampMs);
        }
        return true;
    }

    private void WriteTime(long? time, long tickMs)
    {
        _body.Byte(time is null ? (byte)0 : (byte)1);
        if (time is { } value)
            _body.Signed(value - tickMs);
    }

    private bool WriteMetadata(EncoderSource source)
    {
        IReadOnlyList<string> log = source.Table.MetadataLog;
        _body.Varint((ulong)(log.Count - source.MetadataSent));
        for (int i = source.MetadataSent; i < log.Count; i++)
        {
            MetricMetadata metadata = source.Table.MetadataOf(log[i])!;
            if (_body.String(log[i]) > _limits.StringBytesMax)
                return false;
            _body.Byte((byte)metadata.Type);
            _body.String(Cut(metadata.Help));
            _body.String(Cut(metadata.Unit));
        }
        source.MetadataSent = log.Count;
        return true;
    }

    /// <summary>A text no longer than the help limit in UTF-8; a UTF-16 unit is three bytes at most.</summary>
    private string Cut(string text)
    {
        if (text.Length <= _limits.HelpBytesMax / 3 || Encoding.UTF8.GetByteCount(text) <= _limits.HelpBytesMax)
            return text;
        int length = _limits.HelpBytesMax / 3;
        return text[..(char.IsHighSurrogate(text[length - 1]) ? length - 1 : length)];
    }

    private void WriteRecord(SourceTick tick, EncoderSource source, byte flags, byte sections)
    {
        // Ticks of plain values are packed already; text and histograms shrink well.
        const byte worthIt = RecordHeader.Definitions | RecordHeader.Timed | RecordHeader.Histograms | RecordHeader.Exemplars | RecordHeader.Metadata;
        int compressed = (sections & worthIt) != 0 ? Compress() : 0;
        if (compressed > 0)
            flags |= RecordHeader.Compressed;
        _record.Clear();
        _record.Byte(RecordHeader.Version);
        _record.Byte(flags);
        _record.Byte(sections);
        _record.Varint((ulong)source.Number);
        if ((flags & RecordHeader.NewSource) != 0)
        {
            _record.String(source.Table.Name);
            _record.Varint((ulong)Math.Max(0, source.Table.IntervalMs));
        }
        _record.Signed(tick.TimestampMs);
        _record.Varint((ulong)Samples);
        if (compressed > 0)
        {
            _record.Varint((ulong)_body.Length);
            _record.Bytes(_compressed.AsSpan(0, compressed));
        }
        else
        {
            _record.Bytes(_body.Written);
        }
        _record.Trim(KeepBytes);
    }

    /// <summary>Compresses the body; 0 when that does not pay by an eighth.</summary>
    private int Compress()
    {
        int bytes = _body.Length;
        if (bytes < CompressBytesMin)
            return 0;
        if (_compressed.Length < bytes)
            _compressed = new byte[BrotliEncoder.GetMaxCompressedLength(bytes)];
        if (!BrotliEncoder.TryCompress(_body.Written, _compressed, out int written, quality: 1, window: 20))
            return 0;
        bool pays = written < bytes - (bytes >> 3) && (long)written * _limits.InflationRatioMax >= bytes;
        return pays ? written : 0;
    }
}
