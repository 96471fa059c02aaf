using Bellwether.Store.Blocks;
using Bellwether.Store.Head;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// What is older than the samples' retention becomes slots of a coarser resolution, beside the writer, in the same way as files are merged. Nothing is taken any more that is not newer than what became
// slots once: a slot cannot take a sample in.
public sealed partial class StoreEngine
{
    private long _coarsenedFiles;

    /// <summary>Chunk files that became part of a file of a coarser resolution since the store was opened. Thread-safe.</summary>
    public long CoarsenedFiles => Interlocked.Read(ref _coarsenedFiles);

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
            if (sources.Count == 0 || !HasRoomFor(sources) || !TryCloseUntil(sources.Max(f => f.Footer.MaxMs)))
                continue;
            // Files may have come until the time was closed; none can come after.
            sources = CoarsenPlan.Choose(_blocks.Files, length, before);
            if (sources.Count == 0 || sources.Max(f => f.Footer.MaxMs) > _head.ClosedMs)
                continue;
            using var coarsener = new BlockCoarsener(length, _options.CoarsensWhateverTheSize);
            if (!Rewrite(sources, length, coarsener.Write, cancellation))
                continue;
            Interlocked.Add(ref _coarsenedFiles, sources.Count);
            LogCoarsened(_log, sources.Count, resolution.Length, sources.Max(f => f.Footer.MaxMs));
            return true;
        }
        return false;
    }

    /// <summary>From now on nothing is taken up to a time. False: something of it is still in memory, and has to go into files first.</summary>
    private bool TryCloseUntil(long timeMs)
    {
        _index.Gate.EnterWriteLock();
        try
        {
            foreach (HeadSeries series in _index.All)
            {
                if (series.OldestMs <= timeMs)
                    return false;
            }
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

    [LoggerMessage(EventId = 5746, Level = LogLevel.Information, Message = "{Files} chunk files became one of the resolution {Resolution}; their newest sample was of {NewestMs}")]
    private static partial void LogCoarsened(ILogger log, int files, TimeSpan resolution, long newestMs);
}
