using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Chunks;
using Bellwether.Store.Wal;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store;

// Opening: what the log holds goes back into the head.
public sealed partial class StoreEngine
{
    private const int ToldAtOnce = 10_000;
    private readonly SampleBatch _replayed = new();
    private long _replayedFrames;
    private ulong _replayNext;
    private long _unreadableFrames;
    private ulong _savedNext;
    private ulong _replayFrom;
    private bool _damagedHead;
    private long _unsavedReplayed;

    private WriteAheadLog Load(Random random)
    {
        var batches = new BatchFrameReader();
        _blocks.Load();
        CloseCoarse();
        _checkpoint = _checkpoints.Read(out byte[]? state);
        _age = new AgeClock(_time, NewestInFilesMs());
        TakeTime();
        // Before replay begins: a list of held samples that is beyond its bound by a tick is read whole.
        ulong from = _replayFrom = LoadState(state, batches);
        _head.IsReplaying = true;
        BeginHistory();
        WriteAheadLog wal;
        _index.Gate.EnterWriteLock();
        try
        {
            wal = new WriteAheadLog(_disk, Path.Combine(_options.Folder, "wal"), _options, _time, random, (kind, sequence, file, frame) => ReplayFrame(batches, (FrameKind)kind, sequence, frame), from);
        }
        finally
        {
            _index.Gate.ExitWriteLock();
        }
        _replayed.Samples.Clear();
        _replayed.Samples.TrimExcess();
        // What was replayed waits to be saved like what is logged from now on.
        _savedAtBytes = -_unsavedReplayed;
        _storedAtCut = _head.Outcomes[(int)AppendOutcome.Stored];
        _paceSince = _time.GetTimestamp();
        // A copy has no log: frames that the checkpoint would take for covered must not be numbered again.
        wal.SkipTo(Math.Max(_checkpoint.Next, _savedNext));
        _head.ReplayEnded();
        _age.Saw(_head.NewestMs == long.MinValue && _blocks.Count == 0 ? long.MaxValue : _head.NewestMs);
        _records.ReplayEnded();
        if (_tap is not null)
            ReplayToldTo(wal);
        Opened = new OpenReport
        {
            ReplayedFrames = _replayedFrames,
            SavedHead = _savedNext > 0,
            DamagedHead = _damagedHead,
            ReplayedSamples = _head.Outcomes[(int)AppendOutcome.Stored],
            UnreadableFrames = _unreadableFrames,
            DamagedLogPlaces = wal.Report.Lost.Count,
            DamagedCheckpoints = _checkpoints.Damaged,
            QuarantinedFiles = _blocks.QuarantinedFiles,
            TornLogBytes = wal.Report.TornBytes,
        };
        LogOpened(_log, _options.Folder, StoreId, _replayedFrames, Opened.ReplayedSamples, Opened.DamagedLogPlaces, _unreadableFrames);
        foreach (LostRange lost in wal.Report.Lost)
            LogDamaged(_log, lost.File, lost.Offset, lost.Reason, lost.NextSequence - lost.FirstSequence);
        return wal;
    }

    // The newer of checkpoint and saved head says what agents were told; gives the first frame that is needed of the log.
    private ulong LoadState(byte[]? state, BatchFrameReader batches)
    {
        using HeadLoader? saved = OpenSaved(state);
        bool isSaved = saved is not null && TryLoadSaved(saved, batches);
        if (isSaved)
        {
            _savedNext = _replayNext = saved!.Next;
            _savedBytes = saved.Bytes;
            // Of the same frame, too: an opening makes held samples of stored ones when the clock went back since the checkpoint, and the saved head has them in its list only.
            if (saved.Next >= _checkpoint.Next)
                state = saved.State;
        }
        _isHeadStale = !isSaved;
        if (state is not null)
            CheckpointFile.ReadState(state, _records, _head);
        _records.CountFrom = Math.Max(_checkpoint.Next, _savedNext);
        return isSaved ? saved!.FirstNeeded : 0;
    }

    // Without files the log alone holds what there is, and nothing of it is too old before it was read. The checkpoint's boundary says nothing: it goes by the wall clock.
    private long NewestInFilesMs() => _blocks.Files.Aggregate(0L, (known, file) => Math.Max(known, file.Footer.MaxMs));

    private void ReplayToldTo(WriteAheadLog wal)
    {
        // A tap that holds more than the log: its end was lost, or the store's folder. Positions that the tap knows must not come again, it would not take them.
        wal.SkipTo(_tap!.HeldTo);
        Tell(wal.Next);
        _head.Tapped ??= [];
    }

    private void ReplayFrame(BatchFrameReader batches, FrameKind kind, ulong sequence, ReadOnlySpan<byte> frame)
    {
        // Handed over because it shares a file with the first that is needed. A segment that it began must not go on: the next opening may not be given it.
        if (sequence < _replayFrom)
            return;
        if (sequence < _savedNext)
        {
            ReplayContext(kind, sequence, frame);
            return;
        }
        _replayedFrames++;
        _unsavedReplayed += frame.Length;
        // A value is coded against the one before: behind frames that are lost the dictionary must begin anew. Numbers that were skipped on purpose begin one anyway.
        if (sequence != _replayNext)
            batches.Break();
        _replayNext = sequence + 1;
        if (_tap is not null && _head.Tapped is null && sequence >= _tap.HeldTo)
            _head.Tapped = [];
        if (_head.Tapped is { Count: >= ToldAtOnce })
            Tell(sequence);
        // What the checkpoint covers stands in chunk files or in its list of held samples, but for the newest partition.
        bool isCovered = sequence < _checkpoint.Next;
        _head.SkipBeforeMs = isCovered ? _checkpoint.BoundaryMs : long.MinValue;
        _head.MayBeHeld = isCovered;
        try
        {
            var reader = new ByteReader(frame);
            bool isWhole = kind switch
            {
                FrameKind.Record => _records.Replay(ref reader, sequence),
                FrameKind.Batch => ReplayBatch(batches, ref reader, sequence),
                FrameKind.Refusals => ReplayRefusals(ref reader, sequence),
                _ => false,
            };
            // What is covered may have lost its beginning with the log before it, and is not needed then.
            if (!isWhole && !isCovered)
                _unreadableFrames++;
        }
        catch (Exception e) when (e is InvalidDataException or ArgumentException)
        {
            // ArgumentException: labels that are not sorted, which only a frame of another making can have.
            _unreadableFrames++;
            batches.Break();
        }
    }

    // What it brought is in memory, or in chunk files.
    private void ReplayContext(FrameKind kind, ulong sequence, ReadOnlySpan<byte> frame)
    {
        if (kind != FrameKind.Record)
            return;
        try
        {
            var reader = new ByteReader(frame);
            _records.ReplayContext(ref reader, sequence, isLater: _checkpoint.Next > _savedNext);
        }
        catch (InvalidDataException)
        {
            _unreadableFrames++;
        }
    }

    private bool ReplayRefusals(ref ByteReader reader, ulong sequence)
    {
        _records.ReplayRefusals(ref reader, sequence);
        _ledger.Note(sequence, long.MinValue, sequence);
        return true;
    }

    private bool ReplayBatch(BatchFrameReader batches, ref ByteReader reader, ulong sequence)
    {
        SampleBatch batch = _replayed;
        batch.Samples.Clear();
        batch.Exemplars.Clear();
        batch.Metadata.Clear();
        if (!batches.TryRead(ref reader, sequence, batch))
            return false;
        // What a batch has was stored.
        _head.IsDecided = true;
        for (int i = 0; i < batch.Samples.Count; i++)
        {
            SeriesSample sample = batch.Samples[i];
            if (_head.Judge(sample.TimestampMs) == AppendOutcome.TooOld)
                continue;
            if (sample.TimestampMs < _head.SkipBeforeMs)
            {
                _head.TellCovered(sample.Labels, sample.TimestampMs, sample.Value, sample.Histogram, sample.StartMs);
                continue;
            }
            // A clock that went back since must not cost what was acknowledged: only age is judged again.
            int number = batches.Numbers[i];
            if (batches.SeriesAt(number) is not { IsRemoved: false } series)
            {
                if (_head.Resolve(sample.Labels, out _, out _) is not { } found)
                    continue;
                batches.Found(number, series = found);
            }
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
        _ledger.Note(sequence, _head.TakeNewest(), batches.Context);
        return true;
    }

    [LoggerMessage(EventId = 5702, Level = LogLevel.Error, Message = "file {File} of the store's log is damaged at {Offset}: {Reason}; {Frames} frames are lost, the rest goes on")]
    private static partial void LogDamaged(ILogger log, ulong file, long offset, string reason, ulong frames);

    [LoggerMessage(EventId = 5701, Level = LogLevel.Information, Message = "store {Folder} opened: id {StoreId}, {Frames} frames of the log with {Samples} samples replayed, {Damaged} damaged places, {Unreadable} unreadable frames")]
    private static partial void LogOpened(ILogger log, string folder, string storeId, long frames, long samples, int damaged, long unreadable);
}
