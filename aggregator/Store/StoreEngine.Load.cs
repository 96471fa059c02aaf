using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// Opening: what the log holds goes back into the head.
public sealed partial class StoreEngine
{
    private long _replayedFrames;
    private long _unreadableFrames;

    private void Load()
    {
        var batches = new BatchFrameReader();
        _head.NowMs = NowMs();
        _index.Gate.EnterWriteLock();
        try
        {
            _wal.Replay((file, position, frame) => ReplayFrame(batches, file, frame));
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        _records.ReplayEnded();
        Opened = new OpenReport
        {
            ReplayedFrames = _replayedFrames,
            ReplayedSamples = _head.Outcomes[(int)AppendOutcome.Stored],
            UnreadableFrames = _unreadableFrames,
            DamagedLogPlaces = _wal.DamagedPlaces,
        };
        LogOpened(_log, _options.Folder, StoreId, _replayedFrames, Opened.ReplayedSamples, Opened.DamagedLogPlaces, _unreadableFrames);
    }

    private void ReplayFrame(BatchFrameReader batches, long file, ReadOnlySpan<byte> frame)
    {
        _replayedFrames++;
        try
        {
            var reader = new ByteReader(frame);
            switch ((FrameKind)reader.Byte())
            {
                case FrameKind.Record:
                    _records.Replay(ref reader, file);
                    break;
                case FrameKind.Batch:
                    ReplayBatch(batches, ref reader, file);
                    break;
                default:
                    _unreadableFrames++;
                    break;
            }
        }
        catch (InvalidDataException)
        {
            _unreadableFrames++;
            batches.Break();
        }
        catch (ArgumentException)
        {
            // Labels that are not sorted: only a frame of another making can have them.
            _unreadableFrames++;
            batches.Break();
        }
    }

    private void ReplayBatch(BatchFrameReader batches, ref ByteReader reader, long file)
    {
        var batch = new SampleBatch();
        if (!batches.TryRead(ref reader, file, batch))
        {
            _unreadableFrames++;
            return;
        }
        foreach (SeriesSample sample in batch.Samples)
        {
            if (sample.TimestampMs < _head.SkipBeforeMs || _head.Judge(sample.TimestampMs) == AppendOutcome.TooOld)
                continue;
            // A clock that went back since must not cost what was acknowledged: only age is judged again.
            if (_head.Resolve(sample.Labels, out _, out _) is not { } series)
                continue;
            if (sample.Histogram is { } histogram)
                _head.Append(series, sample.TimestampMs, histogram, sample.StartMs);
            else
                _head.Append(series, sample.TimestampMs, sample.Value, sample.StartMs);
        }
        foreach ((Labels labels, Exemplar exemplar) in batch.Exemplars)
        {
            if (_index.TryGet(labels, out Head.HeadSeries? series))
                _head.Add(series, exemplar);
        }
        foreach ((string family, MetricMetadata metadata) in batch.Metadata)
            _head.Describe(family, metadata);
        _ledger.Note(file, _head.TakeNewest(), batches.ContextFile);
    }

    [LoggerMessage(EventId = 3001, Level = LogLevel.Information, Message = "store {Folder} opened: id {StoreId}, {Frames} frames of the log with {Samples} samples replayed, {Damaged} damaged places, {Unreadable} unreadable frames")]
    private static partial void LogOpened(ILogger log, string folder, string storeId, long frames, long samples, int damaged, long unreadable);
}
