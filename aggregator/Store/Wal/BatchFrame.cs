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
    private readonly ByteWriter _exemplars = new();
    private readonly ByteWriter _metadata = new();
    private int _exemplarCount;
    private int _metadataCount;
    private long _bytes;
    private long _definitionBytes;
    private bool _isOver = true;
    private long _time;
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
        _time = 0;
        IsNew = _isOver || _bytes >= Math.Max(DictionaryBytes, DefinitionShare * _definitionBytes) || _last.Count >= MaxNumbers;
        if (!IsNew)
            return;
        _dictionary++;
        _last.Clear();
        _series.Clear();
        _bytes = _definitionBytes = 0;
        _isOver = false;
    }

    /// <summary>Whether this frame begins a dictionary.</summary>
    public bool IsNew { get; private set; }

    /// <summary>Begins a dictionary with the next frame (the frame in making was not logged).</summary>
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
        }
        int head = _samples.Length;
        _samples.Byte(0);
        _samples.Varint((ulong)number);
        if (isNew)
        {
            RecordFrame.WriteLabels(series.Labels, _samples);
            _definitionBytes += _samples.Length - head;
        }
        _samples.Zigzag(timeMs - _time);
        _time = timeMs;
        if (startMs != 0)
            _samples.Zigzag(timeMs - startMs);
        int kind = histogram is null ? WriteValue(number, value) : 3;
        if (histogram is not null)
            HistogramCodec.Write(histogram, _samples);
        _samples.PatchByte(head, (byte)(kind | (startMs != 0 ? 4 : 0) | (isNew ? 8 : 0)));
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
        _frame.Byte(IsNew ? NewDictionary : (byte)0);
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
        if (IsNew)
            Context = sequence;
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
        if (BatchFrameReader.IsSmallInteger(value) && BatchFrameReader.IsSmallInteger(last))
        {
            _samples.Zigzag((long)value - (long)last);
            return 1;
        }
        _samples.Double(value);
        return 2;
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
        if ((from.Byte() & BatchFrameWriter.NewDictionary) != 0)
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
        long time = 0;
        for (int i = 0; i < count; i++)
            into.Samples.Add(ReadSample(ref from, ref time));
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

    internal static bool IsSmallInteger(double value) =>
        Math.Abs(value) < 1L << 52 && BitConverter.DoubleToInt64Bits(value) == BitConverter.DoubleToInt64Bits((long)value);

    private SeriesSample ReadSample(ref ByteReader from, ref long time)
    {
        byte head = from.Byte();
        int number = from.Count(int.MaxValue);
        if ((head & 8) != 0)
        {
            if (number != _labels.Count)
                throw new InvalidDataException("a batch defines a series out of order");
            _labels.Add(RecordFrame.ReadLabels(ref from));
            _last.Add(0);
            _series.Add(null);
        }
        if (number >= _labels.Count)
            throw new InvalidDataException("a batch names a series that it does not define");
        _numbers.Add(number);
        time += from.Zigzag();
        long start = (head & 4) != 0 ? time - from.Zigzag() : 0;
        if ((head & 3) == 3)
            return new SeriesSample(_labels[number], time, 0, HistogramCodec.Read(ref from), start);
        double value = (head & 3) switch
        {
            0 => _last[number],
            1 => (long)_last[number] + from.Zigzag(),
            _ => from.Double(),
        };
        _last[number] = value;
        return new SeriesSample(_labels[number], time, value, null, start);
    }
}
