using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>How a scraped body is taken.</summary>
public sealed record ScrapeParserOptions
{
    /// <summary>Whether times written by the target count (Prometheus: honor_timestamps).</summary>
    public bool HonorTimestamps { get; init; } = true;

    /// <summary>Whether series with times of their own get stale markers when they vanish (Prometheus: track_timestamps_staleness).</summary>
    public bool TrackTimestampsStaleness { get; init; }

    /// <summary>Whether the start of counters that do not tell it themselves is inferred from what the bodies have and from <c>process_start_time_seconds</c>. Text formats only.</summary>
    public bool InferStartTimes { get; init; }

    /// <summary>Samples after mapping above which the scrape fails (Prometheus: sample_limit). Default and 0: <see cref="SamplesMax"/>.</summary>
    public int SampleLimit { get; init; }

    /// <summary>The limit where a configuration sets none: 100 000 samples, so that one target cannot take the agent's memory.</summary>
    public const int SamplesMax = 100_000;
}

/// <summary>What came of one body.</summary>
/// <param name="Error">Why the scrape failed; null when it did not.</param>
/// <param name="Scraped">Samples in the body.</param>
/// <param name="Kept">Samples left after mapping, doubles counted.</param>
/// <param name="SeriesAdded">Series that the last good body did not have.</param>
/// <param name="Duplicates">Samples of a series that the body had already; the first one counts.</param>
public readonly record struct ScrapeResult(string? Error, int Scraped, int Kept, int SeriesAdded, int Duplicates);

/// <summary>
/// Parses the bodies of one target into ticks, predicting that a body looks like the one before: one comparison per sample covers comments, series and value.
/// What is not as predicted is looked up by its raw text, and only a series never seen is parsed and mapped. Allocation-free in steady state. Not thread-safe.
/// Use: fill <see cref="Buffer"/>, begin a tick with <see cref="Table"/>, <see cref="Parse"/> (or <see cref="Fail"/>), complete the tick.
/// </summary>
public sealed partial class ScrapeParser
{
    // Dead slots are tolerated up to as many as there are live ones, and this many more; then the table is renewed.
    private const int DeadSlotsSlack = 1024;
    private const int MetadataChangesMax = 50_000;
    private const int EntriesMin = 64;

    /// <summary>So many samples above the limit are counted, so that the reason tells by how much it is broken; what is still to come is not read.</summary>
    private const int CountedMax = 100_000;

    /// <summary>A scratch array larger than this is not kept.</summary>
    private const int ScratchEntriesMax = 32 * 1024;

    /// <summary>The entries of the body that is being parsed on this thread.</summary>
    [ThreadStatic]
    private static Entry[]? t_scratch;

    private readonly ISeriesMapper _mapper;
    private readonly ScrapeParserOptions _options;
    private readonly ExpositionReader _reader = new();
    private readonly LabelsBuilder _builder = new();
    private readonly List<Label> _labels = [];
    private readonly int _sampleLimit;
    private readonly BodyBuffers _buffers;
    private readonly StartInference? _births;
    private byte[] _current = [];
    private byte[] _previous = [];
    private int _previousLength;
    private ExpositionFormat _previousFormat;
    private Entry[] _predicted = [];
    private int _predictedCount;
    private Entry[] _entries = [];
    private int _count;
    private RawSeriesCache _cache = new();
    private Dictionary<Labels, int> _slotOf = [];
    private ulong[] _seen = [];
    private ulong[] _timed = [];
    private ulong[] _timedBefore = [];
    private int _carried;
    private int _lastLive;
    private bool _valuesKnown;
    private bool _anyTimed;
    private SourceTick? _lastTick;
    private int _length;
    private ExpositionFormat _format;
    private int _kept;
    private int _added;
    private int _duplicates;
    private int _overflow;
    private string? _error;
    private CancellationToken _cancellation;

    /// <summary>Makes a parser for one target.</summary>
    /// <param name="name">The source's name, for its table.</param>
    /// <param name="intervalMs">The source's interval, for its table.</param>
    /// <param name="mapper">Asked once for each series.</param>
    /// <param name="options">How bodies are taken.</param>
    /// <param name="buffers">Shared by the parsers of a program; null: its own.</param>
    public ScrapeParser(string name, int intervalMs, ISeriesMapper mapper, ScrapeParserOptions options, BodyBuffers? buffers = null)
    {
        _buffers = buffers ?? new BodyBuffers();
        _mapper = mapper;
        _options = options;
        _births = options.InferStartTimes ? new StartInference() : null;
        _sampleLimit = options.SampleLimit > 0 ? options.SampleLimit : ScrapeParserOptions.SamplesMax;
        Table = new SourceTable(name, intervalMs);
    }

    /// <summary>The table to begin the next tick with. A new object when dead slots had piled up.</summary>
    public SourceTable Table { get; private set; }

    /// <summary>Where the next body goes, from its start; empty until it is grown. Another object after each <see cref="Grow"/> and each parsed body.</summary>
    public byte[] Buffer => _current;

    /// <summary>Makes the buffer larger, keeping what is in it; the first time at least as large as a body like the last one needs.</summary>
    public void Grow(int size)
    {
        if (size <= _current.Length)
            return;
        byte[] larger = _buffers.Take(_current.Length > 0 ? size : Math.Max(size, _previousLength + (_previousLength / 32) + 2));
        _current.CopyTo(larger, 0);
        _buffers.Return(_current);
        _current = larger;
    }

    /// <summary>The slot of a series that the collector itself sets (up and its like); the target's own series of that name shares it.</summary>
    public int SlotFor(Labels labels)
    {
        if (!_slotOf.TryGetValue(labels, out int slot))
        {
            slot = Table.Add(labels);
            _slotOf.Add(labels, slot);
        }
        return slot;
    }

    /// <summary>Parses the first <paramref name="length"/> bytes of <see cref="Buffer"/> into a begun tick. On an error the tick holds no sample and every series ends.</summary>
    /// <remarks>What it throws (cancellation, out of memory) leaves the parser half-way: <see cref="Abandon"/> must follow.</remarks>
    public ScrapeResult Parse(int length, ExpositionFormat format, SourceTick tick, CancellationToken cancellation = default)
    {
        _cancellation = cancellation;
        if (length == _current.Length)
            Grow(length + 1);
        if (format == ExpositionFormat.PrometheusText && length > 0 && _current[length - 1] != '\n')
            _current[length++] = (byte)'\n';
        _length = length;
        _format = format;
        _count = _kept = _added = _duplicates = _overflow = 0;
        _timed.AsSpan().Clear();
        _error = null;
        _valuesKnown &= ReferenceEquals(tick, _lastTick);
        _lastTick = tick;
        _entries = t_scratch ?? new Entry[EntriesMin];
        int scraped = format == ExpositionFormat.PrometheusProtobuf ? ParseProtobuf(tick) : Walk(tick);
        if (_error is null && _kept > _sampleLimit)
            _error = $"sample limit exceeded: {_kept} samples after relabelling, limit {_sampleLimit}";
        var result = new ScrapeResult(_error, scraped, _kept, _added, _duplicates);
        if (_error is not null)
        {
            // What a refused body had is no longer new to the next one, as in Prometheus.
            MarkSeen(tick, also: true);
            Fail(tick);
            // A body far above the limit must not keep the memory of all its series until the next one fails, too.
            if (_overflow >= CountedMax)
                Renew(tick, carry: false);
        }
        else
        {
            Keep(tick);
        }
        t_scratch = _entries.Length <= ScratchEntriesMax ? _entries : null;
        _entries = [];
        // The buffers are others' soon: the reader must not hold one of them.
        _reader.Reset([], 0, format);
        return result;
    }

    /// <summary>Takes a scrape that gave no body: the tick holds no sample, and every series ends.</summary>
    public void Fail(SourceTick tick)
    {
        tick.DropSamples();
        EndVanished(tick, all: true);
        _valuesKnown = false;
        _startsKnown = false;
        _lastTick = tick;
        // A read that was given up may still hold it: it is not passed on.
        _current = [];
        if (Table.Count > (2 * _lastLive) + DeadSlotsSlack + _sampleLimit || Table.MetadataLog.Count > MetadataChangesMax)
            Renew(tick, carry: false);
    }

    /// <summary>As <see cref="Fail"/>, after an exception: whatever was half done is forgotten, and its memory let go.</summary>
    public void Abandon(SourceTick tick)
    {
        _entries = [];
        _reader.Reset([], 0, _format);
        Fail(tick);
        Renew(tick, carry: false);
    }

    /// <summary>Ends every series of the source, for a target that is gone.</summary>
    public void End(SourceTick tick) => Fail(tick);

    private void Keep(SourceTick tick)
    {
        if (!_startsKnown && _format != ExpositionFormat.PrometheusProtobuf)
            RepeatStarts(tick);
        _startsKnown = true;
        if (_format != ExpositionFormat.PrometheusProtobuf)
            _births?.Complete(tick);
        EndVanished(tick, all: false);
        MarkSeen(tick, also: false);
        if (_anyTimed)
            (_timedBefore, _timed) = (_timed, _timedBefore);
        _valuesKnown = true;
        KeepBody();
        if (_predicted.Length < _count || _predicted.Length > (2 * _count) + EntriesMin)
            _predicted = new Entry[_count];
        _entries.AsSpan(0, _count).CopyTo(_predicted);
        _predictedCount = _count;
        _previousLength = _length;
        _previousFormat = _format;
        _lastLive = _kept;
        bool dead = Table.Count > (2 * _kept) + DeadSlotsSlack || _cache.Count > (2 * _count) + DeadSlotsSlack;
        if (dead || Table.MetadataLog.Count > MetadataChangesMax)
            Renew(tick, carry: true);
    }

    /// <summary>Remembers which series this body had, instead of or beside those before.</summary>
    private void MarkSeen(SourceTick tick, bool also)
    {
        int words = (Table.Count + 63) >> 6;
        if (_seen.Length < words)
            Array.Resize(ref _seen, words * 2);
        ReadOnlySpan<ulong> present = tick.Present;
        for (int w = 0; w < _seen.Length; w++)
        {
            ulong now = (w < present.Length ? present[w] : 0) | (_anyTimed && w < _timed.Length ? _timed[w] : 0);
            _seen[w] = also ? _seen[w] | now : now;
        }
        foreach (SlotHistogram h in tick.Histograms)
            _seen[h.Slot >> 6] |= 1UL << h.Slot;
    }

    /// <summary>This body is what the next one is compared with; the one before is passed on.</summary>
    private void KeepBody()
    {
        // Let go before it is given back: a buffer that was given back twice would be two targets' at once.
        byte[] last = _previous;
        _previous = [];
        _buffers.Return(last);
        if (_format == ExpositionFormat.PrometheusProtobuf)
        {
            // Nothing is predicted from it.
            _buffers.Return(_current);
        }
        else if (BodyBuffers.IsWasteful(_current.Length, _length))
        {
            _previous = _buffers.Take(_length);
            _current.AsSpan(0, _length).CopyTo(_previous);
            _buffers.Return(_current);
        }
        else
        {
            _previous = _current;
        }
        _current = [];
    }

    /// <summary>Ends series that the tick's own book does not track: those of the table before, and those with times of their own.</summary>
    private void EndVanished(SourceTick tick, bool all)
    {
        for (int slot = 0; slot < _carried; slot++)
        {
            if (all || (!SourceTick.IsSet(tick.Present, slot) && !SourceTick.IsSet(_timed, slot)))
                tick.End(slot);
        }
        _carried = 0;
        if (!_anyTimed || !_options.TrackTimestampsStaleness)
            return;
        for (int slot = 0; slot < Table.Count; slot++)
        {
            if (SourceTick.IsSet(_timedBefore, slot) && (all || (!SourceTick.IsSet(tick.Present, slot) && !SourceTick.IsSet(_timed, slot))))
                tick.End(slot);
        }
        if (all)
            _timedBefore.AsSpan().Clear();
    }

    /// <summary>Starts a new table with the live series only. Everything known is forgotten but them, so that those which vanish next still get their end.</summary>
    private void Renew(SourceTick tick, bool carry)
    {
        SourceTable old = Table;
        Table = new SourceTable(old.Name, old.IntervalMs);
        _slotOf = [];
        var carried = new List<(int Old, int New)>();
        for (int slot = 0; carry && slot < old.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot) || (_options.TrackTimestampsStaleness && SourceTick.IsSet(_timedBefore, slot)))
                carried.Add((slot, SlotFor(old[slot])));
        }
        _births?.Renew(carry ? carried : null);
        _carried = Table.Count;
        _seen = new ulong[(_carried + 63) >> 6];
        for (int slot = 0; slot < _carried; slot++)
            _seen[slot >> 6] |= 1UL << slot;
        _cache = new RawSeriesCache();
        _predictedCount = 0;
        _previousLength = 0;
        _valuesKnown = false;
        _timed = [];
        _timedBefore = [];
        _anyTimed = false;
        _groups.Clear();
        _groupOf.Clear();
        _exposedSlots.Clear();
        _exposedStarts.Clear();
    }

    /// <summary>One sample of the last body, for the prediction of the next.</summary>
    private struct Entry
    {
        /// <summary>Where its line starts, or the comments before it.</summary>
        public int Start;

        /// <summary>From there to its value.</summary>
        public int PrefixLength;

        /// <summary>The value's length; of the whole rest of the line where there is more than the value.</summary>
        public int ValueLength;

        /// <summary>Its slot, or -1 when it is dropped.</summary>
        public int Slot;

        /// <summary>Its place in the cache.</summary>
        public int CacheIndex;

        /// <summary>How its value is to be read.</summary>
        public EntryFlags Flags;

        /// <summary>The type that the last TYPE line before it said.</summary>
        public MetricType Type;
    }

    [Flags]
    private enum EntryFlags : byte
    {
        None = 0,

        /// <summary>More than the value follows: a timestamp, an exemplar, blanks.</summary>
        Tail = 1,

        /// <summary>It had a time of its own.</summary>
        Timed = 2,

        /// <summary>It says when others started.</summary>
        Created = 4,

        /// <summary>The body had this series before, so that the slot's value is another line's.</summary>
        Doubled = 8,
    }
}
