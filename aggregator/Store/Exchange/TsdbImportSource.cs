using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>A block of Prometheus, or a whole data folder or snapshot of it, to import. See <see cref="TsdbBlock"/>.</summary>
public sealed class TsdbImportSource : IImportSource
{
    private const int BatchSamples = 20_000;
    private readonly TsdbBlock _block;
    private readonly List<string> _problems = [];
    private readonly bool _isFromStart;
    private long _seriesRead;
    private int _chunk;
    private string _position;
    private bool _isSeriesOpen;
    private InvalidDataException? _error;

    private TsdbImportSource(TsdbBlock block, long position)
    {
        _block = block;
        _isFromStart = position == 0;
        _position = block.Position.ToString(CultureInfo.InvariantCulture);
    }

    /// <inheritdoc/>
    public string Key => "block " + _block.Ulid;

    /// <inheritdoc/>
    public string Name => $"block {_block.Ulid} ({Text(_block.MinMs)} to {Text(_block.EndMs)}{(_block.Samples < 0 ? "" : $", {_block.Series} series, {_block.Samples} samples")})";

    /// <inheritdoc/>
    public string Position => _position;

    /// <inheritdoc/>
    public (long Done, long Of) Progress => _block.Progress;

    /// <inheritdoc/>
    public IReadOnlyList<string> Problems => _problems;

    /// <inheritdoc/>
    public long ProblemCount { get; private set; }

    /// <summary>Folders of blocks: the folder itself, or those in a data folder or snapshot, oldest name first.</summary>
    public static IReadOnlyList<string> FindBlocks(IDisk disk, string folder)
    {
        ArgumentNullException.ThrowIfNull(disk);
        if (TsdbBlock.IsBlock(disk, folder))
            return [folder];
        return [.. Directory.GetDirectories(folder).Where(f => TsdbBlock.IsBlock(disk, f)).Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether a folder is Prometheus' own, whose newest samples stand in its log and in no block.</summary>
    public static bool HasLog(IDisk disk, string folder)
    {
        ArgumentNullException.ThrowIfNull(disk);
        return disk.List(Path.Combine(folder, "wal")).Count > 0 && !disk.Exists(Path.Combine(folder, "store-id"));
    }

    /// <summary>Opens a block. Throws <see cref="InvalidDataException"/> or <see cref="IOException"/>.</summary>
    /// <param name="disk">Where it is.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="positionOf">Gives the position to go on at, by key; null: from the beginning.</param>
    public static TsdbImportSource Open(IDisk disk, string folder, Func<string, string?> positionOf)
    {
        ArgumentNullException.ThrowIfNull(positionOf);
        var block = TsdbBlock.Open(disk, folder);
        if (positionOf("block " + block.Ulid) is not { } text || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long position))
            return new TsdbImportSource(block, 0);
        block.Dispose();
        return new TsdbImportSource(TsdbBlock.Open(disk, folder, position), position);
    }

    /// <inheritdoc/>
    public bool Next(SampleBatch into)
    {
        ArgumentNullException.ThrowIfNull(into);
        if (_error is { } error)
            throw new InvalidDataException(error.Message, error);
        try
        {
            return ReadBatch(into);
        }
        catch (InvalidDataException e) when (into.Samples.Count > 0)
        {
            // What came before is good: it is told with the next call.
            _error = e;
            return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _block.Dispose();

    private bool ReadBatch(SampleBatch into)
    {
        while (into.Samples.Count < BatchSamples)
        {
            if (_isSeriesOpen && _chunk < _block.Chunks.Count)
            {
                ReadChunk(_block.Chunks[_chunk++], into.Samples);
                continue;
            }
            _isSeriesOpen = false;
            _position = _block.Position.ToString(CultureInfo.InvariantCulture);
            if (!_block.Next())
            {
                if (_isFromStart && _block.Series >= 0 && _block.Series != _seriesRead && ProblemCount == 0)
                    Note($"{_block.Folder}: meta.json speaks of {_block.Series} series, the index holds {_seriesRead}");
                return into.Samples.Count > 0;
            }
            _seriesRead++;
            _chunk = 0;
            _isSeriesOpen = true;
        }
        return true;
    }

    private void ReadChunk(TsdbChunkRef chunk, List<SeriesSample> into)
    {
        try
        {
            _block.Read(chunk, into);
        }
        catch (InvalidDataException e)
        {
            Note($"{e.Message}; samples of {_block.Labels}, {Text(chunk.MinMs)} to {Text(chunk.MaxMs)}, are left out");
        }
    }

    private void Note(string problem)
    {
        ProblemCount++;
        if (_problems.Count < IImportSource.ProblemsMax)
            _problems.Add(problem);
    }

    private static string Text(long ms) => ms is > -62135596800000 and < 253402300800000 ? DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture) : $"{ms} ms";
}
