using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>
/// What a spool holds and what it remembers: its log, the segments in it, the ledger by source, and the state beside them. Nothing is freed before the state on the disk says what became
/// of it. Not thread-safe: the spool's lock covers it.
/// </summary>
internal sealed class SpoolBooks : IDisposable
{
    /// <summary>What a record may take beside its samples, and the least that is taken for one.</summary>
    public const int RecordSlackBytes = 1024;

    private readonly SpoolShare _share;
    private readonly SpoolStateFile _stateFile;
    private readonly TimeProvider _clock;
    private readonly SpoolReaders _readers;
    private bool _stateDirty;
    private long _stateSavedMs;
    private long _droppedSamples;
    private long _errors;
    private IOException? _lastError;

    /// <summary>Opens the log in a folder and brings it together with what the state remembers. Throws as <see cref="SegmentLog.Open"/>.</summary>
    public SpoolBooks(IDisk disk, string folder, SpoolOptions options, TimeProvider clock, Random random, SpoolShare share)
    {
        _share = share;
        _clock = clock;
        _stateFile = new SpoolStateFile(disk, folder, NoteError);
        Ledger = new SpoolLedger(options.DropSourcesMax);
        SpoolState? kept = _stateFile.Read();
        State = kept ?? new SpoolState();
        var replay = new SpoolReplay(Ledger, kept, options.Keys);
        Log = SegmentLog.Open(disk, Path.Combine(folder, "log"), LogOptions(options), clock, random, replay.Visit);
        _readers = new SpoolReaders(Log);
        Segments = replay.Segments;
        FoundNewestMs = Segments.Count == 0 ? long.MaxValue : Segments.Max(s => s.NewestMs);
        Previous = new SpoolRecovery(this, clock).Run(replay, isNew: kept is null);
        _droppedSamples = Ledger.Accounts.Sum(a => a.Dropped.Values.Sum(d => d.Samples));
        _share.Epoch = Math.Max(_share.Epoch, State.Epoch);
        _share.NextNumber = Math.Max(_share.NextNumber, State.NextNumber);
        // What was read may not be durable: until it is written again, nothing is freed because of it.
        _stateDirty = true;
        Save();
    }

    /// <summary>The log.</summary>
    public SegmentLog Log { get; }

    /// <summary>The segments that are held, oldest first.</summary>
    public List<SpoolSegment> Segments { get; }

    /// <summary>What became of everything, by source.</summary>
    public SpoolLedger Ledger { get; }

    /// <summary>What is remembered beside the log.</summary>
    public SpoolState State { get; }

    /// <summary>How the run before this one ended.</summary>
    public PreviousEnd Previous { get; }

    /// <summary>Time of the newest record that the log had when it was opened, Unix ms; the greatest there is: none.</summary>
    public long FoundNewestMs { get; }

    /// <summary>Samples dropped so far.</summary>
    public long DroppedSamples => Volatile.Read(ref _droppedSamples);

    /// <summary>Whether something is to be written that the state on the disk does not say yet.</summary>
    public bool IsDirty => _stateDirty;

    /// <summary>Errors of the disk since opening, those of the log included.</summary>
    public long Errors => _errors + Log.Errors;

    /// <summary>The last of them, or null.</summary>
    public IOException? LastError => _lastError ?? Log.LastError;

    /// <summary>The limits of the log of a spool.</summary>
    public static SegmentLogOptions LogOptions(SpoolOptions options) => new()
    {
        FileBytes = Math.Max(2L * options.SegmentBytes, 64 << 10),
        PayloadBytesMax = CodecLimits.Default.RecordBytesMax + RecordSlackBytes,
        PendingBytesMax = options.PendingBytesMax,
        SpareFiles = 2,
    };

    /// <summary>The state is to be written with the next sync.</summary>
    public void Change() => _stateDirty = true;

    /// <summary>Whether the state waits to be written for at least so long, ms.</summary>
    public bool IsDue(long intervalMs)
    {
        long nowMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        return _stateDirty && (nowMs - _stateSavedMs >= intervalMs || nowMs < _stateSavedMs);
    }

    /// <summary>Adds records of a segment; as <see cref="SpoolReaders.Read"/>.</summary>
    public SegmentRead Read(SpoolSegment segment, ulong first, int maxBytes, List<ReadOnlyMemory<byte>> into, out ulong next) => _readers.Read(segment, first, maxBytes, into, out next);

    /// <summary>Writes the state. Until that worked (<see cref="IsDirty"/>) no file may go: a crash would lose the count of what was in it.</summary>
    public void Save()
    {
        foreach (SpoolSegment segment in Segments)
        {
            if (segment.Acknowledged > 0)
                State.Acknowledged[segment.Id] = new SegmentFate(segment.Acknowledged, false, segment.FirstSequence, segment.EndSequence);
        }
        State.Epoch = _share.Epoch;
        State.NextNumber = _share.NextNumber;
        ForgetFreed();
        _stateSavedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        try
        {
            _stateFile.Write(State.Content(Ledger, NotDurable()), Log.ReleaseReserve);
            _stateDirty = false;
            Ledger.Keep();
        }
        catch (IOException error)
        {
            NoteError(error);
            _stateSavedMs = 0; // the next sync tries again
        }
    }

    /// <summary>Forgets finished segments of which no frame stands in the log any more; the newest stay a while, since a file that was freed may come back with a power cut. A segment whose key is gone may stand there for ever: behind it is forgotten all the same.</summary>
    private void ForgetFreed()
    {
        ulong keepFrom = Segments.Find(s => s.Locked is null)?.Id.Number ?? State.NextNumber;
        IReadOnlyList<LogFileInfo> files = Log.Files;
        foreach ((SegmentRef id, SegmentFate fate) in State.Acknowledged)
        {
            if (id.Number + 8 < keepFrom && !files.Any(f => fate.FirstSequence - 1 < f.NextSequence && fate.EndSequence > f.FirstSequence))
                State.Acknowledged.Remove(id);
        }
    }

    /// <summary>Samples by account that wait for a sync; notes beside what is held, for the case that the log is lost.</summary>
    private Dictionary<int, long> NotDurable()
    {
        var waiting = new Dictionary<int, long>();
        State.Buffered.Clear();
        foreach (SpoolSegment segment in Segments)
        {
            for (int i = (int)segment.Records; segment.Waiting > 0 && i < (segment.Facts?.Count ?? 0); i++)
                waiting[segment.Facts![i].Account] = waiting.GetValueOrDefault(segment.Facts[i].Account) + segment.Facts[i].Samples;
            foreach ((int account, SourceSpan span) in segment.Sources)
            {
                string name = Ledger[account].Name;
                State.Buffered[name] = State.Buffered.GetValueOrDefault(name).Plus(span);
            }
        }
        return waiting;
    }

    /// <summary>Frees the log's files in which no segment has a frame any more, once the state says what became of them. Returns how many.</summary>
    public int FreeFiles()
    {
        if (_stateDirty)
            return 0;
        var needless = new List<ulong>();
        foreach (LogFileInfo file in Log.Files)
        {
            bool used = Segments.Exists(s => s.FirstSequence - 1 < file.NextSequence && s.EndSequence > file.FirstSequence);
            if (!used)
                needless.Add(file.Number);
        }
        return needless.Count > 0 ? Log.FreeFiles(needless) : 0;
    }

    /// <summary>What is held, by account, but for what is in the segments of <paramref name="carried"/>.</summary>
    public SourceSpan[] Held(IReadOnlySet<SegmentRef>? carried = null)
    {
        var held = new SourceSpan[Ledger.Accounts.Count];
        foreach (SpoolSegment segment in Segments)
        {
            if (carried?.Contains(segment.Id) ?? false)
                continue;
            foreach ((int account, SourceSpan span) in segment.Sources)
                held[account] = held[account].Plus(span);
        }
        return held;
    }

    /// <summary>The segment of that name that is held, or null.</summary>
    public SpoolSegment? Find(SegmentRef id) => Segments.Find(s => s.Id == id);

    /// <summary>Takes the samples of acknowledged records out of what a segment holds. Not <paramref name="isNew"/>: the ledger counts them already.</summary>
    public void TakeAcknowledged(SpoolSegment segment, ulong records, bool isNew)
    {
        if (records <= segment.Acknowledged)
            return;
        if (records == segment.Records && segment.Waiting == 0)
        {
            foreach ((int account, SourceSpan span) in segment.Sources)
                Ledger[account].Acknowledged += isNew ? span.Samples : 0;
            segment.Sources.Clear();
        }
        else
        {
            List<RecordFact> facts = segment.Facts ?? ReadFacts(segment, segment.Records);
            if ((ulong)facts.Count < records)
                return; // the disk does not say whose they are: the next acknowledgement says it again
            segment.Facts = facts;
            for (ulong i = segment.Acknowledged; i < records; i++)
            {
                long taken = segment.TakeOut(facts[(int)i]);
                Ledger[facts[(int)i].Account].Acknowledged += isNew ? taken : 0;
            }
        }
        segment.Acknowledged = records;
    }

    /// <summary>A closed segment is done with: acknowledged, or dropped and counted.</summary>
    public void Remove(SpoolSegment segment)
    {
        _readers.Forget(segment);
        Segments.Remove(segment);
        State.Acknowledged[segment.Id] = new SegmentFate(segment.Records, true, segment.FirstSequence, segment.EndSequence);
        _stateDirty = true;
    }

    /// <summary>Counts samples as dropped.</summary>
    public void CountDrop(int account, string reason, long samples, long fromMs, long toMs)
    {
        if (samples <= 0)
            return;
        Dictionary<string, DropCount> dropped = Ledger[account].Dropped;
        dropped[reason] = dropped.GetValueOrDefault(reason).Plus(samples, fromMs, toMs);
        Volatile.Write(ref _droppedSamples, _droppedSamples + samples);
        _stateDirty = true;
    }

    /// <summary>Reads which record is whose from the log again, as far as it can be read.</summary>
    public List<RecordFact> ReadFacts(SpoolSegment segment, ulong records)
    {
        var facts = new List<RecordFact>((int)records);
        var names = new Dictionary<int, string>();
        using LogReader reader = Log.Read(segment.FirstSequence);
        try
        {
            while ((ulong)facts.Count < records && reader.MoveNext() == LogRead.Frame && reader.Sequence == segment.FirstSequence + (ulong)facts.Count)
            {
                ReadOnlySpan<byte> record = reader.Payload;
                if (segment.Cipher is { } cipher)
                {
                    byte[] opened = new byte[record.Length];
                    if (!cipher.TryOpen(reader.Sequence, record, opened))
                        break;
                    record = opened.AsSpan(0, record.Length - SegmentCipher.AddedBytes);
                }
                if (RecordHeader.TryRead(record, CodecLimits.Default, out RecordHeader header) != DecodeOutcome.Applied)
                    break;
                if (header.NewName is { } name)
                    names[header.Source] = name;
                facts.Add(new RecordFact(Ledger.IndexOf(names.GetValueOrDefault(header.Source, "")), header.Samples, header.TimestampMs));
            }
        }
        catch (IOException error)
        {
            NoteError(error);
        }
        return facts;
    }

    /// <summary>An error of the disk, told with the statistics.</summary>
    public void NoteError(IOException error)
    {
        _errors++;
        _lastError = error;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _readers.Dispose();
        Log.Dispose();
    }
}
