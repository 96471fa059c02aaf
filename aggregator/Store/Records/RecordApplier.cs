using Bellwether.Core.Codec;
using Bellwether.Store.Chunks;
using Bellwether.Store.Head;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Records;

/// <summary>
/// Exactly once, in any order of segments (docs/ARCHITECTURE.md, idea 3): per open segment its position and its decoder, per agent and epoch the completed segments.
/// A record and its key are one frame of the log. Applying is the writer's; <see cref="HeldOf"/> is thread-safe.
/// </summary>
internal sealed partial class RecordApplier
{
    /// <summary>Epochs of an agent of which completed segments are known; of more, the lowest is forgotten. An epoch ends when a spool is lost.</summary>
    private const int EpochsPerAgent = 64;
    private readonly StoreOptions _options;
    private readonly TickApplier _ticks;
    private readonly HeadWriter _head;
    private readonly WalLedger _ledger;
    private readonly Lock _gate = new();
    private readonly Dictionary<SegmentKey, OpenSegment> _open = [];
    private readonly Dictionary<(string Agent, ulong Epoch), CompletedSegments> _completed = [];
    private readonly List<OpenSegment> _touched = [];
    private readonly ByteWriter _frame = new(1 << 16);
    private long _uses;

    public RecordApplier(StoreOptions options, HeadWriter head, WalLedger ledger)
    {
        _options = options;
        _head = head;
        _ticks = new TickApplier(head);
        _ledger = ledger;
    }

    /// <summary>What was taken of each agent.</summary>
    public RecordLedger Ledger { get; } = new();

    /// <summary>During replay: frames before it are counted already, in the checkpoint.</summary>
    public ulong CountFrom { get; set; }

    /// <summary>What was taken of one agent, or of all. Thread-safe.</summary>
    public IReadOnlyList<StoredLedger> Ledgers(string? agent)
    {
        lock (_gate)
            return Ledger.Snapshot(agent);
    }

    /// <summary>The segments of an agent that are here, by epoch. Thread-safe.</summary>
    public IReadOnlyList<EpochSegments> SegmentsOf(string agent)
    {
        var epochs = new SortedDictionary<ulong, SegmentNumbers>();
        var unfinished = new List<(ulong Epoch, ulong Number)>();
        lock (_gate)
        {
            foreach (((string name, ulong epoch), CompletedSegments completed) in _completed)
            {
                if (name == agent)
                    completed.AddTo(NumbersOf(epoch));
            }
            foreach (OpenSegment open in _open.Values)
            {
                if (open.Key.Agent != agent || open.Applied == 0)
                    continue;
                NumbersOf(open.Key.Epoch).Add(open.Key.Number, open.Key.Number);
                unfinished.Add((open.Key.Epoch, open.Key.Number));
            }
        }
        return [.. epochs.Select(e => new EpochSegments(e.Key, e.Value.Ranges()) { Open = [.. unfinished.Where(u => u.Epoch == e.Key).Select(u => u.Number)] })];

        SegmentNumbers NumbersOf(ulong epoch)
        {
            if (!epochs.TryGetValue(epoch, out SegmentNumbers? numbers))
                epochs.Add(epoch, numbers = new SegmentNumbers());
            return numbers;
        }
    }

    /// <summary>Forgets times before the retention.</summary>
    public void DropLedgerBefore(long timeMs)
    {
        lock (_gate)
            Ledger.DropBefore(timeMs);
    }

    /// <summary>
    /// The log is about to be freed before a frame: segments that began there must begin again, since what would still come of them could not be replayed without their beginning.
    /// Closes and refusals of such a segment, which need no beginning, keep nothing of it either.
    /// </summary>
    public void LogFreedBelow(ulong sequence)
    {
        lock (_gate)
        {
            foreach (OpenSegment open in _open.Values)
            {
                if (open.Context >= sequence)
                    continue;
                Drop(open);
                open.Context = ulong.MaxValue;
            }
        }
    }

    /// <summary>Records refused for good since the store was opened.</summary>
    public long RefusedRecords { get; private set; }

    /// <summary>Records applied since the store was opened.</summary>
    public long AppliedRecords { get; private set; }

    /// <summary>Records that were held already and came again.</summary>
    public long RepeatedRecords { get; private set; }

    /// <summary>Runs that were not taken whole since they are ahead of the clock and the hold is full.</summary>
    public long AheadRuns { get; private set; }

    /// <summary>Segments that are begun and not yet complete.</summary>
    public int OpenSegments => _open.Count;

    /// <summary>What is durable of a segment.</summary>
    public SegmentProgress HeldOf(SegmentKey key)
    {
        lock (_gate)
        {
            if (_open.TryGetValue(key, out OpenSegment? open))
                return new SegmentProgress(key, open.Durable, open.DurablyComplete, open.IsResumable);
            return new SegmentProgress(key, 0, IsCompleted(key), true);
        }
    }

    /// <summary>Applies a run and logs it; the result holds after the next commit.</summary>
    public RunResult Apply(RecordRun run, WriteAheadLog wal)
    {
        lock (_gate)
            return ApplyLocked(run, wal);
    }

    /// <summary>All that was applied is durable now.</summary>
    public void Committed()
    {
        lock (_gate)
        {
            foreach (OpenSegment open in _touched)
            {
                open.Durable = open.Applied;
                if (open.Complete)
                    Complete(open);
            }
            _touched.Clear();
        }
    }

    /// <summary>The first frame of the log that a decoder needs; at most <paramref name="limit"/>.</summary>
    public ulong FirstNeeded(ulong limit)
    {
        lock (_gate)
        {
            foreach (OpenSegment open in _open.Values)
            {
                if (open.Decoder is not null)
                    limit = Math.Min(limit, open.Context);
            }
            return limit;
        }
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)_completed.Count);
        foreach (((string agent, ulong epoch), CompletedSegments completed) in _completed)
        {
            into.Text(agent);
            into.Varint(epoch);
            completed.Write(into);
        }
        into.Varint((ulong)_open.Count);
        foreach (OpenSegment open in _open.Values)
        {
            into.Text(open.Key.Agent);
            into.Varint(open.Key.Epoch);
            into.Varint(open.Key.Number);
            into.UInt32(open.Key.Nonce);
            into.Varint(open.Applied);
            into.Byte(open.IsBroken ? (byte)1 : (byte)0);
        }
    }

    public void Read(ref ByteReader from)
    {
        int completed = from.Count(from.Left);
        for (int i = 0; i < completed; i++)
        {
            (string, ulong) key = (from.Text(from.Left), from.Varint());
            _completed[key] = CompletedSegments.Read(ref from);
        }
        int segments = from.Count(from.Left);
        for (int i = 0; i < segments; i++)
        {
            var key = new SegmentKey(from.Text(from.Left), from.Varint(), from.Varint(), from.UInt32());
            ulong applied = from.Varint();
            _open[key] = new OpenSegment(key) { Applied = applied, Durable = applied, IsBroken = from.Byte() != 0 };
        }
    }

    private RunResult ApplyLocked(RecordRun run, WriteAheadLog wal)
    {
        SegmentKey key = run.Segment;
        if (IsCompleted(key))
        {
            RepeatedRecords += run.Records.Count;
            return new RunResult(RunOutcome.Applied, new SegmentProgress(key, run.FirstRecord + (ulong)run.Records.Count, true, true), [], []);
        }
        if (!_open.TryGetValue(key, out OpenSegment? open))
            _open.Add(key, open = new OpenSegment(key));
        open.LastUse = ++_uses;
        if (open.Decoder is null && !open.IsBroken && run.FirstRecord == 0 && run.Records.Count > 0)
            Start(open);
        ulong position = open.Position;
        bool closesOnly = run.Records.Count == 0 && run.FirstRecord == open.Applied;
        bool needsStart = (run.FirstRecord > position || (open.Decoder is null && !open.IsBroken)) && !closesOnly;
        // Nothing is held of it: an entry per unknown segment that is named would grow without bound.
        if (open is { Applied: 0, Decoder: null, IsBroken: false } && (needsStart || !run.Last))
            _open.Remove(key);
        if (needsStart)
        {
            return new RunResult(RunOutcome.NeedsStart, new SegmentProgress(key, open.Durable, false, false), [], [], "the run does not join what is held; the segment must start again at record 0");
        }
        var refused = new List<RefusedRecord>();
        var ticks = new List<AppliedTick>(run.Records.Count);
        for (int i = 0; i < run.Records.Count; i++)
        {
            ulong record = run.FirstRecord + (ulong)i;
            if (record < position)
            {
                RepeatedRecords++;
                continue;
            }
            bool last = run.Last && i == run.Records.Count - 1 && record >= open.Applied;
            if (!TryApplyRecord(open, record, run, i, last, wal, refused, ticks))
                return Ahead(open, refused, ticks);
        }
        Weigh(open);
        if (run.Last && !open.Complete && run.FirstRecord + (ulong)run.Records.Count == open.Applied)
        {
            if (!open.ClosedByFrame)
                LogFrame(open, open.Applied, RecordFlags.Last | RecordFlags.Empty, [], wal);
            open.Complete = true;
        }
        _touched.Add(open);
        return new RunResult(RunOutcome.Applied, new SegmentProgress(key, open.Applied, open.Complete, open.IsResumable), refused, ticks);
    }

    // False: it is ahead of our clock and the hold is full. It stays decoded, so that it can be applied when it comes again.
    private bool TryApplyRecord(OpenSegment open, ulong record, RecordRun run, int index, bool last, WriteAheadLog wal, List<RefusedRecord> refused, List<AppliedTick> ticks)
    {
        bool isNew = record >= open.Applied;
        ReadOnlySpan<byte> payload = run.Records[index].Span;
        RecordFlags flags = RecordFlags.Decided | (isNew ? RecordFlags.None : RecordFlags.Context) | (last ? RecordFlags.Last : RecordFlags.None);
        DecodeOutcome outcome = open.IsBroken ? DecodeOutcome.Broken : open.Waits ? DecodeOutcome.Applied : open.Decoder!.Apply(payload);
        if (outcome != DecodeOutcome.Applied)
        {
            Break(open);
            LogFrame(open, record, flags | RecordFlags.Refused, [], wal);
            if (isNew)
            {
                RefusedRecords++;
                Ledger.Refused(open.Key.Agent);
                open.Applied = record + 1;
                refused.Add(new RefusedRecord(record, $"the record cannot be applied: {outcome}"));
            }
        }
        else
        {
            if (isNew)
            {
                DecodedTick tick = open.Decoder!.Tick;
                bool dropAhead = false;
                open.Waits = _head.IsHoldFull && _ticks.IsAhead(tick);
                if (open.Waits && !_head.IsHopeless(tick.TimestampMs, run.SenderAheadMs))
                    return false;
                if (open.Waits)
                    (dropAhead, flags) = (true, flags | RecordFlags.DropAhead);
                open.Waits = false;
                long keptOut = _head.KeptOut;
                int samples = _ticks.Apply(tick, open.Key.Agent, dropAhead);
                Count(open, keptOut);
                if (!_ticks.Refusals.IsEmpty)
                {
                    LogRefusals(open, record, wal);
                    flags |= RecordFlags.SomeRefused;
                }
                AppliedRecords++;
                open.Applied = record + 1;
                ticks.Add(new AppliedTick(tick.Source.Name, tick.Source.IntervalMs, tick.TimestampMs, samples));
            }
            LogFrame(open, record, flags, payload, wal);
        }
        open.ClosedByFrame |= last;
        return true;
    }

    private RunResult Ahead(OpenSegment open, List<RefusedRecord> refused, List<AppliedTick> ticks)
    {
        AheadRuns++;
        // Of a segment that only began nothing is worth its memory: agents that come again begin a new one each time.
        if (open.Applied == 0)
            Remove(open);
        else
            _touched.Add(open);
        return new RunResult(RunOutcome.Ahead, new SegmentProgress(open.Key, open.Applied, false, open.IsResumable), refused, ticks,
            $"the samples are more than {_options.FutureBound} ahead of this aggregator's clock, and {_options.MaxHeldSamples} such samples wait for their time already (StoreOptions.MaxHeldSamples): check the clocks of both hosts");
    }

    private void Count(OpenSegment open, long keptOutBefore)
    {
        DecodedTick tick = open.Decoder!.Tick;
        Ledger.Applied(open.Key.Agent, tick.Source.Name, tick.Source.IntervalMs, tick.TimestampMs, tick.Samples, _head.KeptOut - keptOutBefore);
    }

    private void LogRefusals(OpenSegment open, ulong record, WriteAheadLog wal)
    {
        _frame.Clear();
        RecordFrame.Write(open.Key, record, RecordFlags.None, [], _frame);
        _ticks.Refusals.Write(_frame);
        ulong sequence = wal.Append(FrameKind.Refusals, _frame.Written);
        // Without it the record would be judged anew: it is kept as long.
        if (record == 0)
            open.Context = sequence;
        _ledger.Note(sequence, long.MinValue, open.Context);
    }

    private void LogFrame(OpenSegment open, ulong record, RecordFlags flags, ReadOnlySpan<byte> payload, WriteAheadLog wal)
    {
        _frame.Clear();
        RecordFrame.Write(open.Key, record, flags, payload, _frame);
        ulong sequence = wal.Append(FrameKind.Record, _frame.Written);
        if (record == 0 && (flags & RecordFlags.Empty) == 0)
            open.Context = sequence - ((flags & RecordFlags.SomeRefused) != 0 ? 1UL : 0);
        _ledger.Note(sequence, _head.TakeNewest(), open.Context);
    }

    private void Break(OpenSegment open)
    {
        Drop(open);
        open.IsBroken = true;
    }

    private void Complete(OpenSegment open)
    {
        (string, ulong) agent = (open.Key.Agent, open.Key.Epoch);
        if (!_completed.TryGetValue(agent, out CompletedSegments? completed))
        {
            _completed.Add(agent, completed = new CompletedSegments());
            (string, ulong)[] epochs = [.. _completed.Keys.Where(k => k.Agent == open.Key.Agent)];
            if (epochs.Length > EpochsPerAgent)
                _completed.Remove(epochs.Min());
        }
        completed.Add(open.Key.Number, open.Key.Nonce);
        Remove(open);
    }

    private void Remove(OpenSegment open)
    {
        Drop(open);
        _open.Remove(open.Key);
    }

    private bool IsCompleted(SegmentKey key) =>
        _completed.TryGetValue((key.Agent, key.Epoch), out CompletedSegments? completed) && completed.Contains(key.Number, key.Nonce);
}
