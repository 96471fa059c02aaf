using Bellwether.Store.Blocks;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// What is older than the samples' retention becomes slots of a coarser resolution, beside the writer, in the same way as files are merged. Nothing is taken any more that is not newer than what became
// slots once: a slot cannot take a sample in.
public sealed partial class StoreEngine
{
    // Slots take a tenth of what samples take, mostly. More room is asked for files that took more.
    private const int ExpectedShare = 4;

    // A disk that is full for a moment must not cost years of history: agents keep what is refused meanwhile.
    private const long FullForMs = 3600 * 1000;
    private long? _fullSinceMs;
    private long _coarsenedFiles;
    private long _droppedEarlyFiles;
    private string? _tooLargeFor;
    private readonly HashSet<int> _waitForRoom = [];

    /// <summary>Chunk files that became part of a file of a coarser resolution since the store was opened. Thread-safe.</summary>
    public long CoarsenedFiles => Interlocked.Read(ref _coarsenedFiles);

    /// <summary>Chunk files that were dropped since the store was opened because the disk was full and they were older than what their resolution is kept for. Thread-safe.</summary>
    public long DroppedEarlyFiles => Interlocked.Read(ref _droppedEarlyFiles);

    /// <summary>Bytes of the chunk files of a resolution (0: samples). Thread-safe.</summary>
    internal long BytesOf(int resolutionMs) => _blocks.Files.Where(f => f.ResolutionMs == resolutionMs).Sum(f => f.Bytes);

    /// <summary>The resolutions that are kept, samples (0) included.</summary>
    internal IEnumerable<int> ResolutionsMs => Levels().Select(l => l.ResolutionMs);

    private static void CheckResolutions(StoreOptions options)
    {
        (TimeSpan length, TimeSpan retention) = (TimeSpan.FromMilliseconds(1), options.Retention);
        foreach (CoarseResolution resolution in options.Resolutions)
        {
            bool fits = resolution.Length > length && resolution.Length <= TimeSpan.FromDays(1) && resolution.Length.Ticks % length.Ticks == 0 && resolution.Retention > retention;
            if (!fits)
                throw new ArgumentException($"the resolution {resolution.Length} is not a multiple of {length} up to a day, or is not kept longer than {retention}", nameof(options));
            (length, retention) = (resolution.Length, resolution.Retention);
        }
    }

    private bool CoarsenOnce(CancellationToken cancellation)
    {
        TimeSpan finer = _options.Retention;
        foreach (CoarseResolution resolution in _options.Resolutions)
        {
            int length = (int)resolution.Length.TotalMilliseconds;
            long before = Volatile.Read(ref _ageNowMs) - (long)finer.TotalMilliseconds;
            finer = resolution.Retention;
            IReadOnlyList<BlockFile> sources = CoarsenPlan.Choose(_blocks.Files, length, before);
            if (sources.Count == 0 || RoomToCoarsen(sources, length) is not { } room || !TryCloseUntil(sources.Max(f => f.Footer.MaxMs)))
                continue;
            // Files may have come until the time was closed; none can come after.
            sources = CoarsenPlan.Choose(_blocks.Files, length, before);
            if (sources.Count == 0 || sources.Max(f => f.Footer.MaxMs) > _head.ClosedMs)
                continue;
            using var coarsener = new BlockCoarsener(length, _options.CoarsensWhateverTheSize);
            if (!TryCoarsen(sources, length, room, coarsener, cancellation))
                continue;
            Interlocked.Add(ref _coarsenedFiles, sources.Count);
            LogCoarsened(_log, sources.Count, resolution.Length, sources.Max(f => f.Footer.MaxMs));
            return true;
        }
        return false;
    }

    private bool TryCoarsen(IReadOnlyList<BlockFile> sources, int lengthMs, long room, BlockCoarsener coarsener, CancellationToken cancellation)
    {
        try
        {
            return Rewrite(sources, lengthMs, coarsener.Write, cancellation, room);
        }
        catch (NoRoomException)
        {
            _tooLargeFor = sources[0].Name;
            return false;
        }
    }

    /// <summary>Bytes that may be written; null: too few to begin.</summary>
    private long? RoomToCoarsen(IReadOnlyList<BlockFile> sources, int lengthMs)
    {
        long bytes = sources.Sum(f => f.Bytes), needed = sources[0].Name == _tooLargeFor ? bytes : bytes / ExpectedShare;
        long room = _disk.FreeBytes(_options.Folder) - _options.MinFreeBytes;
        if (room >= needed)
        {
            _waitForRoom.Remove(lengthMs);
            return room;
        }
        if (_waitForRoom.Add(lengthMs))
            LogWaitsForRoom(_log, sources.Count, bytes, needed + _options.MinFreeBytes);
        return null;
    }

    // A file that is older than what its resolution is kept for waits to become coarser. On a disk that stays full nothing would ever make room for that: the oldest goes, as retention would have it
    // without coarser ones.
    private BlockFile? OverdueOnFullDisk()
    {
        if (_options.Resolutions.Count == 0 || HasRoom())
        {
            _fullSinceMs = null;
            return null;
        }
        _fullSinceMs ??= _head.AgeNowMs;
        if (_head.AgeNowMs - _fullSinceMs < FullForMs)
            return null;
        var retention = Levels().ToDictionary(l => l.ResolutionMs, l => (long)l.Retention.TotalMilliseconds);
        return _blocks.Files.Where(f => retention.TryGetValue(f.ResolutionMs, out long kept) && f.Footer.MaxMs < _head.AgeNowMs - kept).MinBy(f => f.Footer.MaxMs);
    }

    private void NoteDroppedEarly(BlockFile file)
    {
        Interlocked.Increment(ref _droppedEarlyFiles);
        LogDroppedEarly(_log, file.Name, file.Bytes, file.Footer.MaxMs);
    }

    /// <summary>From now on nothing is taken up to a time. False: something of it is still in memory, and has to go into files first.</summary>
    private bool TryCloseUntil(long timeMs)
    {
        _index.Gate.EnterWriteLock();
        try
        {
            if (_head.OldestMs <= timeMs)
                return false;
            _head.ClosedMs = Math.Max(_head.ClosedMs, timeMs);
            return true;
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
    }

    // Before the log is replayed: what it holds of these times stands in the slots.
    private void CloseCoarse()
    {
        foreach (BlockFile file in _blocks.Files)
        {
            if (file.ResolutionMs > 0)
                _head.ClosedMs = Math.Max(_head.ClosedMs, file.Footer.MaxMs);
        }
    }

    [LoggerMessage(EventId = 5752, Level = LogLevel.Warning, Message = "{Files} chunk files of {Bytes} bytes are due for a coarser resolution, which waits until {NeededBytes} bytes of the disk are free; make room, or lower retention.raw or set retention.size")]
    private static partial void LogWaitsForRoom(ILogger log, int files, long bytes, long neededBytes);

    [LoggerMessage(EventId = 5753, Level = LogLevel.Error, Message = "the disk is full: the chunk file {File} of {Bytes} bytes, older than what its resolution is kept for, is dropped before it became coarser; its newest sample was of {NewestMs}")]
    private static partial void LogDroppedEarly(ILogger log, string file, long bytes, long newestMs);

    [LoggerMessage(EventId = 5746, Level = LogLevel.Information, Message = "{Files} chunk files became one of the resolution {Resolution}; their newest sample was of {NewestMs}")]
    private static partial void LogCoarsened(ILogger log, int files, TimeSpan resolution, long newestMs);
}
