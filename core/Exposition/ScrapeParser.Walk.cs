using System.Runtime.CompilerServices;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <content>The walk over a body: predicted, looked up, or parsed.</content>
public sealed partial class ScrapeParser
{
    private const int HelpCharsMax = 8192;

    // How many samples are read between two looks at the cancellation; a power of two.
    private const int CancellationStep = 4096;

    /// <summary>The longest that a scrape is under way; a start further ahead than this is of a clock that is wrong.</summary>
    private const long UnderWayMaxMs = 60_000;

    private readonly List<StartGroup> _groups = [];
    private readonly Dictionary<Labels, int> _groupOf = [];
    private bool _startsKnown = true;
    private string? _metaFamily;
    private string? _metaHelp;
    private string? _metaUnit;
    private MetricType? _metaType;
    private string _typeFamily = "";

    /// <summary>Walks this body and the last one in step; returns the samples seen.</summary>
    private int Walk(SourceTick tick)
    {
        int at = 0, next = 0;
        bool exact = true;
        int predicted = _format == _previousFormat ? _predictedCount : 0;
        if (_entries.Length < predicted)
            Array.Resize(ref _entries, predicted);
        while (true)
        {
            WalkPredicted(tick, predicted, ref at, ref next);
            if (_error is not null)
                return _count + _overflow;
            if (next == predicted && predicted > 0 && SameEnd(at))
                break;
            exact = false;
            if (!ReadUnpredicted(tick, ref at, ref next))
                break;
        }
        if (_error is null && (!exact || _count != predicted))
        {
            for (int k = 0; k < _count; k++)
                _cache[_entries[k].CacheIndex].EntryIndex = k;
        }
        return _count + _overflow;
    }

    /// <summary>The fast path: goes on as long as lines are as predicted.</summary>
    private void WalkPredicted(SourceTick tick, int predicted, ref int at, ref int next)
    {
        ReadOnlySpan<byte> body = _current.AsSpan(0, _length);
        ReadOnlySpan<byte> before = _previous;
        bool valuesKnown = _valuesKnown;
        int pos = at, i = next, k = _count, kept = _kept;
        while (i < predicted)
        {
            if ((i & (CancellationStep - 1)) == 0)
                _cancellation.ThrowIfCancellationRequested();
            ref Entry e = ref _predicted[i];
            int whole = e.PrefixLength + e.ValueLength + 1;
            ReadOnlySpan<byte> here = body[pos..];
            int valueLength = e.ValueLength;
            bool unchanged = here.Length >= whole && here[..whole].SequenceEqual(before.Slice(e.Start, whole));
            if (!unchanged && (here.Length <= e.PrefixLength || !here[..e.PrefixLength].SequenceEqual(before.Slice(e.Start, e.PrefixLength))))
                break;
            if (k == _entries.Length)
                Array.Resize(ref _entries, k * 2);
            if (e.Flags != EntryFlags.None && !(unchanged && valuesKnown && (e.Flags & (EntryFlags.Timed | EntryFlags.Doubled)) == 0))
            {
                _count = k;
                _kept = kept;
                if (!ReadTail(tick, pos, ref e, out valueLength))
                    return;
                kept = _kept;
            }
            else if (e.Slot >= 0)
            {
                bool present = SourceTick.IsSet(tick.Present, e.Slot);
                if (unchanged && valuesKnown && !present)
                    tick.SetUnchanged(e.Slot);
                else if (present ? !TryMeasure(here[e.PrefixLength..], out valueLength) : !TrySetValue(tick, e.Slot, here[e.PrefixLength..], out valueLength))
                    break;
                if (present)
                {
                    _duplicates++;
                    e.Flags |= EntryFlags.Doubled;
                }
                kept++;
            }
            else if (!unchanged && !TryMeasure(here[e.PrefixLength..], out valueLength))
            {
                break;
            }
            ref Entry now = ref _entries[k++];
            now = e;
            now.Start = pos;
            now.ValueLength = valueLength;
            pos += e.PrefixLength + valueLength + 1;
            i++;
        }
        at = pos;
        next = i;
        _count = k;
        _kept = kept;
    }

    private bool SameEnd(int at)
    {
        int start = 0;
        if (_predictedCount > 0)
        {
            ref Entry last = ref _predicted[_predictedCount - 1];
            start = last.Start + last.PrefixLength + last.ValueLength + 1;
        }
        return _current.AsSpan(at, _length - at).SequenceEqual(_previous.AsSpan(start, _previousLength - start));
    }

    private static bool TrySetValue(SourceTick tick, int slot, ReadOnlySpan<byte> text, out int length)
    {
        length = text.IndexOf((byte)'\n');
        if (length < 0 || !FloatText.TryParse(text[..length], out double value))
            return false;
        tick.Set(slot, Canonical(value));
        return true;
    }

    private static bool TryMeasure(ReadOnlySpan<byte> text, out int length)
    {
        length = text.IndexOf((byte)'\n');
        return length >= 0 && FloatText.TryParse(text[..length], out _);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double Canonical(double value) => double.IsNaN(value) ? BitConverter.UInt64BitsToDouble(SpecialValues.NormalNaNBits) : value;

    /// <summary>Reads the rest of a predicted line that holds more than a value.</summary>
    private bool ReadTail(SourceTick tick, int pos, ref Entry e, out int length)
    {
        _reader.Reset(_current, _length, _format, pos);
        length = 0;
        if (_reader.ReadTail(pos + e.PrefixLength) == EntryKind.Error)
        {
            _error = _reader.Error!.ToString();
            return false;
        }
        length = _reader.Position - 1 - (pos + e.PrefixLength);
        if (_reader.HasTimestamp)
            e.Flags |= EntryFlags.Timed;
        if (e.Slot >= 0 && SourceTick.IsSet(tick.Present, e.Slot))
            e.Flags |= EntryFlags.Doubled;
        if (e.Slot >= 0)
            Apply(tick, e.Slot, _cache[e.CacheIndex].Group);
        return true;
    }

    /// <summary>Reads on to the next sample, with what stands before it; false at the end or on an error.</summary>
    private bool ReadUnpredicted(SourceTick tick, ref int at, ref int next)
    {
        if (((_count + _overflow) & (CancellationStep - 1)) == 0)
            _cancellation.ThrowIfCancellationRequested();
        _reader.Reset(_current, _length, _format, at);
        MetricType type = _count > 0 ? _entries[_count - 1].Type : MetricType.Unknown;
        _typeFamily = "";
        EntryKind kind;
        while ((kind = _reader.Next()) is not (EntryKind.Sample or EntryKind.End or EntryKind.Error))
        {
            ReadMetadata(kind);
            if (kind == EntryKind.Type)
            {
                type = _reader.Type;
                _typeFamily = _reader.FamilyName;
            }
        }
        FlushMetadata();
        if (kind == EntryKind.Error)
            _error = _reader.Error!.ToString();
        if (kind != EntryKind.Sample)
            return false;
        ReadOnlySpan<byte> series = _current.AsSpan(_reader.SeriesStart, _reader.SeriesLength);
        int index = _cache.Find(series);
        if (index < 0)
        {
            index = Learn(tick, series, type);
            if (index < 0)
            {
                at = _reader.Position;
                return _error is null;
            }
        }
        else if (_cache[index].EntryIndex >= 0 && _cache[index].EntryIndex < _predictedCount)
        {
            // Where it stood last time tells what comes next.
            next = _cache[index].EntryIndex + 1;
        }
        Record(tick, at, index, type);
        at = _reader.Position;
        return true;
    }

    private void Record(SourceTick tick, int at, int index, MetricType type)
    {
        if (_count == _entries.Length)
            Array.Resize(ref _entries, _count * 2);
        int rest = _reader.Position - 1 - _reader.ValueStart;
        int slot = _cache[index].Slot;
        EntryFlags flags = rest != _reader.ValueLength ? EntryFlags.Tail : EntryFlags.None;
        if (_reader.HasTimestamp)
            flags |= EntryFlags.Timed;
        if (_cache[index].Group >= 0)
            flags |= EntryFlags.Created;
        if (slot >= 0 && SourceTick.IsSet(tick.Present, slot))
            flags |= EntryFlags.Doubled;
        _entries[_count++] = new Entry
        {
            Start = at,
            PrefixLength = _reader.ValueStart - at,
            ValueLength = rest,
            Slot = slot,
            CacheIndex = index,
            Flags = flags,
            Type = type,
        };
        if (slot >= 0)
            Apply(tick, slot, _cache[index].Group);
    }

    /// <summary>Puts the sample that the reader stands on into the tick.</summary>
    private void Apply(SourceTick tick, int slot, int group)
    {
        _kept++;
        bool known = SourceTick.IsSet(_seen, slot) || SourceTick.IsSet(tick.Present, slot) || SourceTick.IsSet(_timed, slot);
        if (!known)
            _added++;
        if (_reader.HasTimestamp && _options.HonorTimestamps)
        {
            tick.Timed.Add(new TimedSample(slot, _reader.TimestampMs, _reader.Value));
            MarkTimed(slot);
        }
        else if (SourceTick.IsSet(tick.Present, slot))
        {
            _duplicates++;
        }
        else
        {
            tick.Set(slot, _reader.Value);
        }
        if (group >= 0)
            SetStart(tick, group, _reader.Value);
        if (_reader.HasExemplar)
        {
            _labels.Clear();
            _reader.CopyExemplarLabels(_labels);
            var labels = Labels.From(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_labels));
            tick.Exemplars.Add(new SlotExemplar(slot, new Exemplar(labels, _reader.ExemplarValue, _reader.ExemplarTimestampMs)));
        }
    }

    private void MarkTimed(int slot)
    {
        if (!_anyTimed || (slot >> 6) >= _timed.Length)
        {
            int words = (Math.Max(Table.Count, slot + 1) + 63) >> 6;
            Array.Resize(ref _timed, words * 2);
            Array.Resize(ref _timedBefore, Math.Max(_timedBefore.Length, _timed.Length));
            _anyTimed = true;
        }
        _timed[slot >> 6] |= 1UL << slot;
    }

    /// <summary>Parses and maps a series never seen; returns its place in the cache, or -1 when the scrape fails over it or is past its limit.</summary>
    private int Learn(SourceTick tick, ReadOnlySpan<byte> series, MetricType type)
    {
        _labels.Clear();
        _reader.CopyLabels(_labels);
        string name = _reader.MetricName;
        Labels? exposed = BuildExposed(name, type, out string? doubled);
        if (exposed is null)
        {
            _error = _reader.ErrorAt(_reader.SeriesStart, $"label name '{doubled}' is not unique in {name}").ToString();
            return -1;
        }
        MapOutcome outcome = _mapper.Map(exposed, out Labels kept, out string? reason);
        if (outcome == MapOutcome.Refuse)
        {
            // It counts as scraped: Prometheus counts before it looks at labels.
            _overflow++;
            _error = _reader.ErrorAt(_reader.SeriesStart, reason ?? "refused").ToString();
            return -1;
        }
        if (_kept >= _sampleLimit)
        {
            // The scrape fails as a whole: what is still to come is only counted.
            _kept += outcome == MapOutcome.Keep ? 1 : 0;
            _overflow++;
            if (_overflow >= CountedMax)
                _error = $"sample limit exceeded: more than {_kept} samples after relabelling, limit {_sampleLimit}";
            return -1;
        }
        int slot = outcome == MapOutcome.Drop ? -1 : SlotFor(kept);
        if (slot >= 0 && _births is not null)
            NoteBirth(_births, name, slot);
        int group = slot >= 0 && _format == ExpositionFormat.OpenMetricsText ? GroupOf(tick, exposed, name, type, slot) : -1;
        return _cache.Add(series, slot, group);
    }

    private void NoteBirth(StartInference births, string name, int slot)
    {
        MetricMetadata? described = Table.MetadataOf(name) ?? (name.EndsWith("_total", StringComparison.Ordinal) ? Table.MetadataOf(name[..^6]) : null);
        if (described?.Type == MetricType.Counter)
            births.AddCounter(slot);
        else if (name == "process_start_time_seconds" && _labels.Count == 0)
            births.SetProcessStart(slot);
    }

    private Labels? BuildExposed(string name, MetricType type, out string? doubled)
    {
        doubled = null;
        _builder.Reset().Set(LabelNames.MetricName, name);
        foreach (Label l in _labels)
        {
            if (_builder.Get(l.Name).Length > 0)
            {
                doubled = l.Name;
                return null;
            }
            _builder.Set(l.Name, NormalizeBound(type, l));
        }
        return _builder.Build();
    }

    /// <summary>Prometheus 3 writes bucket bounds and quantiles in one form ("1" becomes "1.0"), whichever format they came in.</summary>
    private static string NormalizeBound(MetricType type, Label l)
    {
        bool bound = (type == MetricType.Histogram && l.Name == LabelNames.Bucket) || (type == MetricType.Summary && l.Name == LabelNames.Quantile);
        if (!bound)
            return l.Value;
        return FloatText.TryParse(System.Text.Encoding.UTF8.GetBytes(l.Value), out double value) ? FloatText.ToBoundText(value) : l.Value;
    }

    private void ReadMetadata(EntryKind kind)
    {
        if (kind is not (EntryKind.Help or EntryKind.Type or EntryKind.Unit))
            return;
        string family = _reader.FamilyName;
        if (family != _metaFamily)
            FlushMetadata();
        _metaFamily = family;
        if (kind == EntryKind.Type)
            _metaType = _reader.Type;
        else if (kind == EntryKind.Unit)
            _metaUnit = _reader.MetaText;
        else
            _metaHelp = _reader.MetaText;
    }

    private void FlushMetadata()
    {
        if (_metaFamily is null)
            return;
        MetricMetadata? known = Table.MetadataOf(_metaFamily);
        bool room = known is not null || Table.MetadataLog.Count < 2 * MetadataChangesMax;
        MetricMetadata old = known ?? new MetricMetadata(MetricType.Unknown, "", "");
        string help = _metaHelp ?? old.Help;
        if (room)
            Table.Describe(_metaFamily, new MetricMetadata(_metaType ?? old.Type, help.Length > HelpCharsMax ? help[..HelpCharsMax] : help, _metaUnit ?? old.Unit));
        _metaFamily = _metaHelp = _metaUnit = null;
        _metaType = null;
    }

    /// <summary>Joins a series to those that share its start; returns the group that it sets when it is the _created series itself, else -1.</summary>
    private int GroupOf(SourceTick tick, Labels exposed, string name, MetricType type, int slot)
    {
        if (type is not (MetricType.Counter or MetricType.Histogram or MetricType.Summary))
            return -1;
        string suffix = SuffixOf(name);
        string family = name[..^suffix.Length];
        Labels key = _builder.Reset(exposed).Set(LabelNames.MetricName, family).Remove(LabelNames.Bucket).Remove(LabelNames.Quantile).Build();
        if (!_groupOf.TryGetValue(key, out int group))
        {
            group = _groups.Count;
            _groups.Add(new StartGroup());
            _groupOf.Add(key, group);
        }
        if (suffix == "_created")
            return group;
        _groups[group].Slots.Add(slot);
        if (_groups[group].StartMs != 0)
            tick.Starts.Add(new SlotStart(slot, _groups[group].StartMs));
        return -1;
    }

    private static string SuffixOf(string name)
    {
        foreach (string suffix in (ReadOnlySpan<string>)["_created", "_total", "_bucket", "_count", "_sum"])
        {
            if (name.EndsWith(suffix, StringComparison.Ordinal) && name.Length > suffix.Length)
                return suffix;
        }
        return "";
    }

    private void SetStart(SourceTick tick, int group, double seconds)
    {
        double scaled = seconds * 1000;
        long ms = scaled is > 0 and < 9e15 ? (long)scaled : 0;
        StartGroup g = _groups[group];
        if (ms == 0 || ms == g.ToldMs)
            return;
        (g.ToldMs, g.StartMs) = (ms, InTick(tick, ms));
        foreach (int slot in g.Slots)
            tick.Starts.Add(new SlotStart(slot, g.StartMs));
    }

    /// <summary>
    /// A start as it counts for a tick. A process that began while the scrape was under way began after the tick's time and told its numbers all the same: it began just before the tick, then and
    /// ever after. Else they would be counted at this tick, where they stand, and again at the next, which is the first after the start.
    /// </summary>
    private static long InTick(SourceTick tick, long toldMs) => toldMs >= tick.TimestampMs && toldMs - tick.TimestampMs <= UnderWayMaxMs ? tick.TimestampMs - 1 : toldMs;

    /// <summary>After a failed scrape, whose starts were lost with its samples.</summary>
    private void RepeatStarts(SourceTick tick)
    {
        tick.Starts.Clear();
        foreach (StartGroup g in _groups)
        {
            foreach (int slot in g.Slots)
            {
                if (g.StartMs != 0 && SourceTick.IsSet(tick.Present, slot))
                    tick.Starts.Add(new SlotStart(slot, g.StartMs));
            }
        }
        _startsKnown = true;
    }

    /// <summary>Series that were started together.</summary>
    private sealed class StartGroup
    {
        public List<int> Slots { get; } = [];

        /// <summary>As the target tells it.</summary>
        public long ToldMs { get; set; }

        /// <summary>As it counts.</summary>
        public long StartMs { get; set; }
    }
}
