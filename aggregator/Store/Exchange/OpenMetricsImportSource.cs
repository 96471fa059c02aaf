using System.Globalization;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>A file of OpenMetrics text whose samples have timestamps, to import. Read in pieces that end with a line; memory is bounded by the longest line.</summary>
public sealed class OpenMetricsImportSource : IImportSource
{
    private const int BatchSamples = 20_000;
    private const int PieceBytes = 1 << 20;
    private const int MaxLineBytes = 16 << 20;
    private const int MaxFamilies = 100_000;
    private readonly IDiskFile _file;
    private readonly string _path;
    private readonly long _length;
    private readonly ExpositionReader _reader = new();
    private readonly LabelsBuilder _builder = new();
    private readonly List<Label> _labels = [];
    private readonly Dictionary<Labels, long> _newest = [];
    private readonly Dictionary<string, MetricMetadata> _metadata = [];
    private byte[] _piece = new byte[PieceBytes];
    private int _pieceLength;
    private long _pieceAt;
    private long _linesBefore;
    private Labels _last = Labels.Empty;
    private byte[] _lastSeries = [];
    private bool _isEnded;
    private InvalidDataException? _error;

    private OpenMetricsImportSource(IDisk disk, string path, string key)
    {
        _path = path;
        Key = key;
        _file = disk.Open(path, DiskOpen.ReadOnly);
        _length = _file.Length;
    }

    /// <inheritdoc/>
    public string Key { get; }

    /// <inheritdoc/>
    public string Name => _path;

    /// <inheritdoc/>
    public string Position => string.Create(CultureInfo.InvariantCulture, $"{_pieceAt + (_pieceLength == 0 ? 0 : _reader.Position)}:{_linesBefore + LinesOfPiece()}");

    /// <inheritdoc/>
    public (long Done, long Of) Progress => (_pieceAt + (_pieceLength == 0 ? 0 : _reader.Position), _length);

    /// <inheritdoc/>
    public IReadOnlyList<string> Problems => [];

    /// <inheritdoc/>
    public long ProblemCount => 0;

    /// <summary>Opens a file. Throws <see cref="IOException"/>.</summary>
    /// <param name="disk">Where it is.</param>
    /// <param name="path">The file.</param>
    /// <param name="changedMs">When it was changed last, Unix ms: with its path and length the key.</param>
    /// <param name="positionOf">Gives the position to go on at, by key; null: from the beginning.</param>
    public static OpenMetricsImportSource Open(IDisk disk, string path, long changedMs, Func<string, string?> positionOf)
    {
        ArgumentNullException.ThrowIfNull(disk);
        ArgumentNullException.ThrowIfNull(positionOf);
        using IDiskFile file = disk.Open(path, DiskOpen.ReadOnly);
        string key = string.Create(CultureInfo.InvariantCulture, $"file {Path.GetFullPath(path)} {file.Length} {changedMs}");
        var source = new OpenMetricsImportSource(disk, path, key);
        string[] parts = (positionOf(key) ?? "").Split(':');
        if (parts.Length == 2 && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out long at) && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long lines) && at < source._length)
            (source._pieceAt, source._linesBefore) = (at, lines);
        return source;
    }

    /// <inheritdoc/>
    public bool Next(SampleBatch into)
    {
        ArgumentNullException.ThrowIfNull(into);
        if (_error is { } error)
            throw new InvalidDataException(error.Message, error);
        _newest.Clear();
        bool isOrdered = true;
        try
        {
            ReadBatch(into, ref isOrdered);
        }
        catch (InvalidDataException e) when (into.Samples.Count > 0)
        {
            // What came before is good: it is told with the next call.
            _error = e;
        }
        // Samples of a series are to come in order of time; most files are written so.
        if (!isOrdered)
        {
            List<SeriesSample> ordered = [.. into.Samples.OrderBy(s => s.TimestampMs)];
            into.Samples.Clear();
            into.Samples.AddRange(ordered);
        }
        return into.Samples.Count > 0 || into.Metadata.Count > 0;
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void ReadBatch(SampleBatch into, ref bool isOrdered)
    {
        while (into.Samples.Count < BatchSamples && !_isEnded)
        {
            if (_reader.Position >= _pieceLength)
            {
                ReadPiece();
                continue;
            }
            switch (_reader.Next())
            {
                case EntryKind.Sample:
                    AddSample(into, ref isOrdered);
                    break;
                case EntryKind.Type:
                    Describe(_reader.FamilyName, m => m with { Type = _reader.Type }, into);
                    break;
                case EntryKind.Help:
                    Describe(_reader.FamilyName, m => m with { Help = _reader.MetaText }, into);
                    break;
                case EntryKind.Unit:
                    Describe(_reader.FamilyName, m => m with { Unit = _reader.MetaText }, into);
                    break;
                case EntryKind.End:
                    if (_pieceAt + _pieceLength < _length)
                        throw Wrong(new ExpositionError(LinesOfPiece(), 0, "data after '# EOF'"));
                    _isEnded = true;
                    break;
                default:
                    throw Wrong(_reader.Error ?? new ExpositionError(0, 0, "it cannot be read"));
            }
        }
    }

    private int LinesOfPiece() => _pieceLength == 0 ? 0 : _piece.AsSpan(0, Math.Min(_reader.Position, _pieceLength)).Count((byte)'\n');

    private InvalidDataException Wrong(ExpositionError error)
    {
        long line = _linesBefore + error.Line;
        return new InvalidDataException(error.Line == 0 ? $"{_path}: {error.Reason}" : $"{_path}, line {line}, column {error.Column}: {error.Reason}");
    }

    private void ReadPiece()
    {
        _linesBefore += _piece.AsSpan(0, _pieceLength).Count((byte)'\n');
        _pieceAt += _pieceLength;
        _pieceLength = 0;
        while (true)
        {
            int got = _file.Read(_pieceAt, _piece);
            if (got == 0)
                throw new InvalidDataException($"{_path}: it does not end with '# EOF': it was cut short; what came before is imported");
            int end = _piece.AsSpan(0, got).LastIndexOf((byte)'\n') + 1;
            if (_pieceAt + got >= _length)
                end = got;
            if (end > 0)
            {
                _pieceLength = end;
                _reader.Reset(_piece, end, ExpositionFormat.OpenMetricsText);
                _lastSeries = [];
                return;
            }
            if (_piece.Length >= MaxLineBytes)
                throw new InvalidDataException($"{_path}, line {_linesBefore + 1}: it is longer than {MaxLineBytes} bytes");
            Array.Resize(ref _piece, _piece.Length * 2);
        }
    }

    private void AddSample(SampleBatch into, ref bool isOrdered)
    {
        if (!_reader.HasTimestamp)
            throw Wrong(_reader.ErrorAt(_reader.ValueStart, "the sample has no timestamp; only samples with one (Unix seconds, behind the value) can be imported"));
        Labels labels = LabelsOfSample();
        into.Samples.Add(new SeriesSample(labels, _reader.TimestampMs, _reader.Value));
        if (_newest.TryGetValue(labels, out long newest) && newest > _reader.TimestampMs)
            isOrdered = false;
        _newest[labels] = _reader.TimestampMs;
        if (!_reader.HasExemplar)
            return;
        _labels.Clear();
        _reader.CopyExemplarLabels(_labels);
        _builder.Reset();
        foreach (Label label in _labels)
            _builder.Set(label.Name, label.Value);
        into.Exemplars.Add((labels, new Exemplar(_builder.Build(), _reader.ExemplarValue, _reader.ExemplarTimestampMs)));
    }

    // The series before, most often: then nothing is built.
    private Labels LabelsOfSample()
    {
        ReadOnlySpan<byte> text = _piece.AsSpan(_reader.SeriesStart, _reader.SeriesLength);
        if (text.SequenceEqual(_lastSeries))
            return _last;
        _labels.Clear();
        _reader.CopyLabels(_labels);
        _builder.Reset().Set("__name__", _reader.MetricName);
        foreach (Label label in _labels)
        {
            if (_builder.Get(label.Name).Length > 0)
                throw Wrong(_reader.ErrorAt(_reader.SeriesStart, $"the label {label.Name} stands twice"));
            _builder.Set(label.Name, label.Value);
        }
        _lastSeries = text.ToArray();
        return _last = _builder.Build();
    }

    private void Describe(string family, Func<MetricMetadata, MetricMetadata> change, SampleBatch into)
    {
        if (_metadata.Count >= MaxFamilies && !_metadata.ContainsKey(family))
            return;
        MetricMetadata known = change(_metadata.GetValueOrDefault(family, new MetricMetadata(MetricType.Unknown, "", "")));
        _metadata[family] = known;
        into.Metadata.Add((family, known));
    }
}
