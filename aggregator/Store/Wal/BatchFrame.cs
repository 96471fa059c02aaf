using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Wal;

/// <summary>
/// Writes what came another way than by an agent's stream into frames that share a dictionary: a series is spelled out once, then it is a number, and a value is
/// coded against its last one. A dictionary begins anew after some bytes, so that old log files may go (docs/formats/wal.md). Writer thread only.
/// </summary>
internal sealed class BatchFrameWriter
{
    /// <summary>Begins a dictionary.</summary>
    public const byte NewDictionary = 1;

    /// <summary>Samples have the short form: what is as it was for the sample before is not written.</summary>
    public const byte ShortSamples = 2;

    private const int DictionaryBytes = 8 << 20;

    /// <summary>A dictionary is kept for so many times the bytes of its definitions: of a million series they alone are more than <see cref="DictionaryBytes"/>.</summary>
    private const int DefinitionShare = 4;
    private const int FrameBytes = 1 << 20;
    private const int MaxNumbers = 1 << 22;
    private readonly ByteWriter _frame = new(4096);
    private readonly ByteWriter _samples = new(4096);
    private int _dictionary;
    private readonly List<double> _last = [];
    private readonly List<HeadSeries> _series = [];
    private readonly List<byte> _exponents = [];
    private int _frames;
    private BatchPlace _place;
    private readonly ByteWriter _exemplars = new();
    private readonly ByteWriter _metadata = new();
    private int _exemplarCount;
    private int _metadataCount;
    private long _bytes;
    private long _definitionBytes;
    private bool _isOver = true;
    private int _count;

    /// <summary>Whether there is anything to log.</summary>
    public bool IsEmpty => _count == 0 && _exemplarCount == 0 && _metadataCount == 0;

    /// <summary>The frame with which the dictionary begins.</summary>
    public ulong Context { get; private set; }

    /// <summary>Whether the frame is large enough to be logged before more is added.</summary>
    public bool IsLarge => _samples.Length + _exemplars.Length + _metadata.Length >= FrameBytes;

    public void Begin()
    {
        _samples.Clear();
        _exemplars.Clear();
        _metadata.Clear();
        _count = _exemplarCount = _metadataCount = 0;
        _place = new BatchPlace();
        _frames++;
        IsNew = _isOver || _bytes >= Math.Max(DictionaryBytes, DefinitionShare * _definitionBytes) || _last.Count >= MaxNumbers;
        if (!IsNew)
            return;
        _dictionary++;
        _last.Clear();
        _series.Clear();
        _exponents.Clear();
        _bytes = _definitionBytes = 0;
        // Until the frame that says so is logged.
        _isOver = true;
    }

    /// <summary>Whether this frame begins a dictionary.</summary>
    public bool IsNew { get; private set; }

    /// <summary>Begins a dictionary with the next frame.</summary>
    public void Forget() => _isOver = true;

    /// <summary>The dictionary as it is now: what frames from here on are read by. Empty: the next frame begins one.</summary>
    public (HeadSeries[] Series, double[] Last) TakeDictionary() => _isOver ? ([], []) : ([.. _series], [.. _last]);

    public void Add(HeadSeries series, long timeMs, double value, NativeHistogram? histogram, long startMs)
    {
        (int dictionary, int number) = series.InLog;
        bool isNew = dictionary != _dictionary;
        if (isNew)
        {
            number = _last.Count;
            series.InLog = (_dictionary, number);
            _last.Add(0);
            _series.Add(series);
            _exponents.Add(0);
        }
        if (startMs != 0)
        {
            _samples.Byte(BatchPlace.Start);
            _samples.Zigzag(timeMs - startMs);
        }
        int head = _samples.Length;
        _samples.Byte(0);
        int given = 0;
        if (timeMs != _place.TimeMs)
        {
            given = BatchPlace.TimeGiven;
            _samples.Zigzag(unchecked(timeMs - _place.TimeMs - _place.StepMs));
        }
        if (number - _place.Expected(timeMs) is not 0 and int distance)
        {
            given |= BatchPlace.NumberGiven;
            _samples.Zigzag(distance);
        }
        _place = _place.To(timeMs, number);
        if (isNew)
        {
            int labels = _samples.Length;
            RecordFrame.WriteLabels(series.Labels, _samples);
            _definitionBytes += _samples.Length - labels;
        }
        int form = histogram is null ? WriteValue(number, value) : 3;
        if (histogram is not null)
            HistogramCodec.Write(histogram, _samples);
        _samples.PatchByte(head, (byte)(form | given));
        _count++;
    }

    public void Add(Labels labels, Exemplar exemplar)
    {
        _exemplarCount++;
        RecordFrame.WriteLabels(labels, _exemplars);
        RecordFrame.WriteExemplar(exemplar, _exemplars);
    }

    public void Add(string family, MetricMetadata metadata)
    {
        _metadataCount++;
        WriteMetadata(family, metadata, _metadata);
    }

    /// <summary>The frame; valid until the next <see cref="Begin"/>.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        _frame.Clear();
        _frame.Byte((byte)(ShortSamples | (IsNew ? NewDictionary : 0)));
        _frame.Varint((ulong)_count);
        _frame.Bytes(_samples.Written);
        _frame.Varint((ulong)_exemplarCount);
        _frame.Bytes(_exemplars.Written);
        _frame.Varint((ulong)_metadataCount);
        _frame.Bytes(_metadata.Written);
        _bytes += _frame.Length;
        return _frame.Written;
    }

    /// <summary>Says which frame it became.</summary>
    public void Logged(ulong sequence)
    {
        if (!IsNew)
            return;
        Context = sequence;
        _isOver = false;
    }

    public static void WriteMetadata(string family, MetricMetadata metadata, ByteWriter into)
    {
        into.Text(family);
        into.Byte((byte)metadata.Type);
        into.Text(metadata.Help);
        into.Text(metadata.Unit);
    }

    private int WriteValue(int number, double value)
    {
        double last = _last[number];
        _last[number] = value;
        if (SampleRule.Same(value, last))
            return 0;
        int exponent = _exponents[number];
        if (!DecimalDelta.TryInteger(value, exponent, out long integer))
        {
            // What is no decimal number looks for its exponent again now and then only.
            bool isDue = exponent != DecimalDelta.None || ((_frames + number) & 15) == 0;
            _exponents[number] = (byte)(exponent = isDue ? DecimalDelta.Find(value, out integer) : DecimalDelta.None);
        }
        if (exponent == DecimalDelta.None)
        {
            _samples.Double(value);
            return 2;
        }
        _samples.Zigzag(integer - DecimalDelta.Integer(last, exponent));
        return 1 | (exponent << 4);
    }
}

/// <summary>Reads the frames of <see cref="BatchFrameWriter"/> in order.</summary>
internal sealed class BatchFrameReader
{
    private readonly List<Labels> _labels = [];
    private readonly List<double> _last = [];
    private readonly List<HeadSeries?> _series = [];
    private readonly List<int> _numbers = [];
    private bool _isWhole;

    /// <summary>The number of each sample's series in the frame read last.</summary>
    public IReadOnlyList<int> Numbers => _numbers;

    /// <summary>The series in memory that was found for a number; null: none yet. Whoever asks looks whether it was removed.</summary>
    public HeadSeries? SeriesAt(int number) => _series[number];

    /// <summary>Remembers what was found for a number.</summary>
    public void Found(int number, HeadSeries? series) => _series[number] = series;

    /// <summary>The frame with which the dictionary begins.</summary>
    public ulong Context { get; private set; }

    /// <summary>Reads a frame into a batch. False: its dictionary began in a frame that is lost.</summary>
    public bool TryRead(ref ByteReader from, ulong sequence, SampleBatch into)
    {
        byte flags = from.Byte();
        if ((flags & BatchFrameWriter.NewDictionary) != 0)
        {
            _labels.Clear();
            _last.Clear();
            _series.Clear();
            _isWhole = true;
            Context = sequence;
        }
        if (!_isWhole)
            return false;
        _numbers.Clear();
        int count = from.Count(from.Left);
        var place = new BatchPlace();
        for (int i = 0; i < count; i++)
            into.Samples.Add((flags & BatchFrameWriter.ShortSamples) != 0 ? ReadShort(ref from, ref place) : ReadSample(ref from, ref place));
        int exemplars = from.Count(from.Left);
        for (int i = 0; i < exemplars; i++)
        {
            Labels series = RecordFrame.ReadLabels(ref from);
            into.Exemplars.Add((series, RecordFrame.ReadExemplar(ref from)));
        }
        int families = from.Count(from.Left);
        for (int i = 0; i < families; i++)
            into.Metadata.Add(ReadMetadata(ref from));
        return true;
    }

    /// <summary>Goes on with a dictionary that was kept; series that are not in memory are null, and their labels too where nothing can name them any more.</summary>
    public void Restore(ulong context, IReadOnlyList<(Labels? Labels, HeadSeries? Series, double Last)> dictionary)
    {
        _labels.Clear();
        _last.Clear();
        _series.Clear();
        foreach ((Labels? labels, HeadSeries? series, double last) in dictionary)
        {
            _labels.Add(labels ?? Labels.Empty);
            _series.Add(series);
            _last.Add(last);
        }
        Context = context;
        _isWhole = dictionary.Count > 0;
    }

    /// <summary>A frame was damaged: the rest of its dictionary cannot be read.</summary>
    public void Break() => _isWhole = false;

    public static (string Family, MetricMetadata Metadata) ReadMetadata(ref ByteReader from)
    {
        string family = from.Text(from.Left);
        var type = (MetricType)from.Byte();
        return (family, new MetricMetadata(type, from.Text(from.Left), from.Text(from.Left)));
    }

    private SeriesSample ReadShort(ref ByteReader from, ref BatchPlace place)
    {
        byte head = from.Byte();
        long sinceStart = 0;
        bool hasStart = head == BatchPlace.Start;
        if (hasStart)
        {
            sinceStart = from.Zigzag();
            head = from.Byte();
        }
        long time = (head & BatchPlace.TimeGiven) != 0 ? unchecked(place.TimeMs + place.StepMs + from.Zigzag()) : place.TimeMs;
        long number = place.Expected(time) + ((head & BatchPlace.NumberGiven) != 0 ? from.Zigzag() : 0);
        if ((ulong)number > (ulong)_labels.Count)
            throw new InvalidDataException("a batch names a series that it does not define");
        place = place.To(time, (int)number);
        if (number == _labels.Count)
            Define(ref from);
        return Sample(ref from, (int)number, time, hasStart ? time - sinceStart : 0, head & 3, head >> 4);
    }

    // The form of logs that were written before there was a short one.
    private SeriesSample ReadSample(ref ByteReader from, ref BatchPlace place)
    {
        byte head = from.Byte();
        int number = from.Count(int.MaxValue);
        if ((head & 8) != 0)
        {
            if (number != _labels.Count)
                throw new InvalidDataException("a batch defines a series out of order");
            Define(ref from);
        }
        if (number >= _labels.Count)
            throw new InvalidDataException("a batch names a series that it does not define");
        long time = place.TimeMs + from.Zigzag();
        place = place.To(time, number);
        return Sample(ref from, number, time, (head & 4) != 0 ? time - from.Zigzag() : 0, head & 3, 0);
    }

    private void Define(ref ByteReader from)
    {
        _labels.Add(RecordFrame.ReadLabels(ref from));
        _last.Add(0);
        _series.Add(null);
    }

    private SeriesSample Sample(ref ByteReader from, int number, long time, long start, int form, int exponent)
    {
        _numbers.Add(number);
        if (form == 3)
            return new SeriesSample(_labels[number], time, 0, HistogramCodec.Read(ref from), start);
        if (exponent >= DecimalDelta.None)
            throw new InvalidDataException($"a batch has a value with the exponent {exponent}");
        double value = form switch
        {
            0 => _last[number],
            1 => DecimalDelta.Value(unchecked(DecimalDelta.Integer(_last[number], exponent) + from.Zigzag()), exponent),
            _ => from.Double(),
        };
        _last[number] = value;
        return new SeriesSample(_labels[number], time, value, null, start);
    }
}
