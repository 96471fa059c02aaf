namespace Bellwether.Store;

// What comes for partitions that are over already: history that is loaded, mostly in order. It is cut when it has stopped growing for a while, or when there is much of it per series:
// each cut makes a file per partition, and a file of a few samples of each series costs many times what the samples do.
public sealed partial class StoreEngine
{
    /// <summary>Fewer samples of cut partitions wait in the head for the next cut.</summary>
    private const long HistoryAtRest = 10_000;

    // Before anything was logged.
    private const double LoggedBytesPerSample = 8;
    private static readonly TimeSpan s_historyRest = TimeSpan.FromMinutes(1);
    private long _behindBefore;
    private long _behindSince;
    private long _storedAtCut;
    private long _loggedAtCut;

    /// <summary>Samples in memory of partitions that are over: they go into chunk files together, and keep the log until then. Thread-safe.</summary>
    public long HistorySamples => Interlocked.Read(ref _historySamples);

    private long _historySamples;

    /// <summary>History comes faster than the cut under way writes it: nothing more should be taken until its files are written, or memory would grow without bound.</summary>
    internal bool IsCutOverrun => _cut is not null && _head.BehindBoundary > Math.Max(2L * _options.MaxLateSamples, HistoryMax);

    // So much per series, but no more than the log may hold for it.
    private long HistoryMax => Math.Max(_options.MaxLateSamples, Math.Min((long)_options.HistorySamplesPerSeries * _index.Count, (long)(_options.MaxHistoryLogBytes / BytesPerLoggedSample)));

    private double BytesPerLoggedSample
    {
        get
        {
            long stored = _head.Outcomes[(int)Core.Model.AppendOutcome.Stored] - _storedAtCut, logged = _wal.AppendedBytes - _loggedAtCut;
            return stored > 0 && logged > 0 ? (double)logged / stored : LoggedBytesPerSample;
        }
    }

    private bool IsHistoryDue()
    {
        long behind = _head.BehindBoundary;
        Interlocked.Exchange(ref _historySamples, behind);
        if (behind != _behindBefore)
        {
            _behindBefore = behind;
            _behindSince = _time.GetTimestamp();
        }
        bool isAtRest = behind > HistoryAtRest && _time.GetElapsedTime(_behindSince) >= s_historyRest;
        return isAtRest || behind > HistoryMax;
    }

    // A new store into which history is loaded: no boundary was passed by what it holds.
    private bool IsFirstHistory(long boundaryMs) => _checkpoint == Wal.Checkpoint.None && _head.BehindBoundary > 0 && boundaryMs == _firstBoundaryMs;

    private long _firstBoundaryMs;

    // Before the log is read: what it holds for partitions that are over counts as history.
    private void BeginHistory() => _head.BoundaryMs = _firstBoundaryMs = _checkpoint == Wal.Checkpoint.None ? DueBoundaryMs() : _checkpoint.BoundaryMs;

    private void HistoryCut()
    {
        _head.BehindBoundary = 0;
        _storedAtCut = _head.Outcomes[(int)Core.Model.AppendOutcome.Stored];
        _loggedAtCut = _wal.AppendedBytes;
    }
}
