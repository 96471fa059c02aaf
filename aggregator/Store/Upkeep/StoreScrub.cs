using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Bellwether.Store.Blocks;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store.Upkeep;

/// <summary>Bounds of a <see cref="StoreScrub"/>.</summary>
public sealed record StoreScrubOptions
{
    /// <summary>Bytes that are read per second. Default 1 MiB: 86 GB a day, at about a thousandth of a core.</summary>
    public int BytesPerSecond { get; init; } = 1 << 20;

    /// <summary>A pass over all files begins at most so often. Default 1 day.</summary>
    public TimeSpan Every { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Damaged chunks whose bytes are kept in quarantine/. Default 1,000.</summary>
    public int MaxPieces { get; init; } = 1000;
}

/// <summary>
/// Reads the chunk files of an open store again and again, slowly, and verifies the check of every chunk, column and index: damage that a disk makes is found before a query or the next
/// copy needs the data. A damaged chunk is counted, its bytes are copied to <c>chunks/quarantine</c> for whoever wants to look, it is left out of every answer, and its file is not merged.
/// Thread-safe; one step at a time.
/// </summary>
public sealed partial class StoreScrub : IAsyncDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromSeconds(1);
    private readonly StoreEngine _engine;
    private readonly StoreScrubOptions _options;
    private readonly IDisk _disk;
    private readonly string _quarantine;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly HashSet<(string File, long Offset)> _known = [];
    private readonly HashSet<long> _columns = [];
    private readonly List<BlockEntry> _entries = [];
    private readonly ITimer _timer;
    private ChunkScratch _scratch = new() { ReadsAhead = true };
    private BlockFile? _file;
    private BlockIndexReader? _index;
    private string _done = "";
    private int _series;
    private long _passBeganAt;
    private bool _isResting;
    private bool _isDisposed;
    private long _bytes;
    private long _damaged;
    private long _passes;
    private long _completedMs;

    /// <summary>Scrubs a store from now on, a piece per second.</summary>
    /// <param name="engine">The open store; it must outlive this.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="options">Bounds.</param>
    /// <param name="disk">Where the folder is.</param>
    /// <param name="time">Clock and timer.</param>
    /// <param name="meter">For its metrics.</param>
    /// <param name="log">For what is damaged.</param>
    public StoreScrub(StoreEngine engine, string folder, StoreScrubOptions options, IDisk disk, TimeProvider time, Meter meter, ILogger log)
    {
        ArgumentNullException.ThrowIfNull(time);
        ArgumentNullException.ThrowIfNull(meter);
        _engine = engine;
        _options = options;
        _disk = disk;
        _quarantine = Path.Combine(folder, "chunks", "quarantine");
        _time = time;
        _log = log;
        _passBeganAt = time.GetTimestamp();
        meter.CreateObservableCounter(MetricNames.StoreScrubBytes, () => Volatile.Read(ref _bytes), null, "Bytes of chunk files that the scrub has read and checked.");
        meter.CreateObservableCounter(MetricNames.StoreScrubDamaged, () => Damaged, null, "Damaged chunks, columns and indexes that the scrub has found since the start, each once.");
        meter.CreateObservableGauge(MetricNames.StoreScrubCompleted, () => Volatile.Read(ref _completedMs) / 1000.0, null, "Unix time at which the scrub had last read every chunk file; 0: not yet.");
        _timer = time.CreateTimer(_ => Tick(), null, s_tick, s_tick);
    }

    /// <summary>Damaged chunks, columns and indexes that were found, each once.</summary>
    public long Damaged => Volatile.Read(ref _damaged);

    /// <summary>Bytes read and checked.</summary>
    public long Bytes => Volatile.Read(ref _bytes);

    /// <summary>Passes over all files that were completed.</summary>
    public long Passes => Volatile.Read(ref _passes);

    /// <summary>Reads about so many bytes on. True: that completed a pass over all files.</summary>
    public bool Step(long bytes)
    {
        lock (_gate)
        {
            long until = _bytes + bytes;
            while (!_isDisposed && _bytes < until)
            {
                if (_file is null && !TryNextFile())
                {
                    Volatile.Write(ref _passes, _passes + 1);
                    Volatile.Write(ref _completedMs, _time.GetUtcNow().ToUnixTimeMilliseconds());
                    _done = "";
                    return true;
                }
                StepFile(until);
            }
            return false;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync().ConfigureAwait(false);
        lock (_gate)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            EndFile();
            _scratch.Dispose();
        }
    }

    private void Tick()
    {
        if (_isResting && _time.GetElapsedTime(_passBeganAt) < _options.Every)
            return;
        if (_isResting)
            _passBeganAt = _time.GetTimestamp();
        _isResting = Step(_options.BytesPerSecond);
    }

    private bool TryNextFile()
    {
        _file = _engine.LeaseFileAfter(_done);
        if (_file is null)
            return false;
        _series = 0;
        _columns.Clear();
        try
        {
            _index = _file.ReadIndex();
            Volatile.Write(ref _bytes, _bytes + _index.Bytes);
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            Found(_file.Footer.IndexOffset, _file.Footer.IndexBytes, $"its index: {e.Message}");
            EndFile();
        }
        return true;
    }

    private void StepFile(long until)
    {
        while (_file is { } file && _index is { } index && _bytes < until)
        {
            if (_series++ == index.Series)
            {
                EndFile();
                return;
            }
            _entries.Clear();
            try
            {
                index.Next(_entries);
            }
            catch (Exception e) when (e is InvalidDataException or ArgumentException)
            {
                Found(file.Footer.IndexOffset, file.Footer.IndexBytes, $"its index: {e.Message}");
                EndFile();
                return;
            }
            foreach (BlockEntry entry in _entries)
            {
                if (_columns.Add(entry.TimesOffset))
                    Check(file, entry.TimesOffset, entry.TimesLength, entry, "a column of times");
                Check(file, entry.Offset, entry.Length, entry, "a chunk");
            }
        }
    }

    private void Check(BlockFile file, long offset, int length, in BlockEntry entry, string what)
    {
        Volatile.Write(ref _bytes, _bytes + length + 4);
        if (!file.IsWhole(offset, length, _scratch))
            Found(offset, length, $"{what} of {entry.Labels}, {entry.Count} samples from {DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(entry.MinMs, -62135596800000, 253402300799999)):yyyy-MM-dd'T'HH:mm:ss'Z'}");
    }

    private void EndFile()
    {
        if (_file is not { } file)
            return;
        _done = file.Name;
        // What was read ahead is of this file.
        _scratch.Dispose();
        _scratch = new ChunkScratch { ReadsAhead = true };
        file.Drop();
        _file = null;
        _index = null;
    }

    private void Found(long offset, int length, string what)
    {
        if (_known.Count >= _options.MaxPieces * 10 || !_known.Add((_file!.Name, offset)))
            return;
        Volatile.Write(ref _damaged, _damaged + 1);
        _engine.Blocks.NoteDamage(_file);
        LogDamaged(_log, _file.Name, offset, what);
        if (_known.Count <= _options.MaxPieces)
            KeepPiece(_file, offset, length);
    }

    private void KeepPiece(BlockFile file, long offset, int length)
    {
        string path = Path.Combine(_quarantine, string.Create(CultureInfo.InvariantCulture, $"{file.Name}-{offset}.piece"));
        try
        {
            if (_disk.Exists(path))
                return;
            _disk.CreateFolder(_quarantine);
            byte[] piece = new byte[Math.Min(length + 4, 1 << 20)];
            int read = file.Copy(offset, piece);
            using IDiskFile into = _disk.Open(path, DiskOpen.CreateNew);
            into.Write(0, piece.AsSpan(0, read));
            into.Sync();
        }
        catch (IOException e)
        {
            LogNotKept(_log, path, e.Message);
        }
    }

    [LoggerMessage(EventId = 5750, Level = LogLevel.Error, Message = "scrub: chunk file {File} is damaged at byte {Offset}: {What}; it is left out, the rest of the file is served")]
    private static partial void LogDamaged(ILogger log, string file, long offset, string what);

    [LoggerMessage(EventId = 5751, Level = LogLevel.Warning, Message = "scrub: damaged bytes could not be kept as {Path}: {Reason}")]
    private static partial void LogNotKept(ILogger log, string path, string reason);
}
