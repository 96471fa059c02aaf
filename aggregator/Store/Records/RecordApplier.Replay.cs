using Bellwether.Core.Codec;
using Bellwether.Store.Chunks;
using Bellwether.Store.Wal;

namespace Bellwether.Store.Records;

// Opening: frames of the log are applied as they were applied when they came.
internal sealed partial class RecordApplier
{
    // The refusals that were read last, and the record that they are of.
    private readonly RecordRefusals _refusals = new();
    private (SegmentKey Key, ulong Record, ulong Sequence)? _refusalsOf;

    /// <summary>A frame during replay that says what of the next record was refused when it came. Throws <see cref="InvalidDataException"/>.</summary>
    public void ReplayRefusals(ref ByteReader frame, ulong sequence)
    {
        _refusalsOf = null;
        SegmentKey key = RecordFrame.Read(ref frame, out _, out ulong record);
        _refusals.Read(ref frame);
        _refusalsOf = (key, record, sequence);
    }

    /// <summary>A record's frame during replay. False: its samples are lost, since frames before it are.</summary>
    /// <param name="sequence">Which frame.</param>
    public bool Replay(ref ByteReader frame, ulong sequence)
    {
        SegmentKey key = RecordFrame.Read(ref frame, out RecordFlags flags, out ulong record);
        if (!_open.TryGetValue(key, out OpenSegment? open))
        {
            open = new OpenSegment(key);
            _open.Add(key, open);
        }
        open.LastUse = ++_uses;
        bool isWhole = (flags & RecordFlags.Empty) != 0 || ReplayRecord(open, frame.Rest, record, flags, sequence);
        _ledger.Note(sequence, _head.TakeNewest(), open.Context);
        if ((flags & RecordFlags.Context) == 0)
            open.Applied = Math.Max(open.Applied, record + ((flags & RecordFlags.Empty) != 0 ? 0UL : 1));
        open.Durable = open.Applied;
        if ((flags & RecordFlags.Last) != 0 && (flags & RecordFlags.Context) == 0)
            Complete(open);
        return isWhole;
    }

    /// <summary>A record's frame during replay whose samples stand in the saved head: it only rebuilds the decoder of a segment that is open there.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="sequence">Which frame.</param>
    /// <param name="isLater">What was read of segments is as of a later frame: segments that are complete by then may have been open.</param>
    public void ReplayContext(ref ByteReader frame, ulong sequence, bool isLater)
    {
        SegmentKey key = RecordFrame.Read(ref frame, out RecordFlags flags, out ulong record);
        if (!_open.TryGetValue(key, out OpenSegment? open))
        {
            if (!isLater)
                return;
            _open.Add(key, open = new OpenSegment(key));
        }
        open.LastUse = ++_uses;
        if ((flags & RecordFlags.Empty) == 0)
            ReplayRecord(open, frame.Rest, record, flags | RecordFlags.Context, sequence);
        // Nothing of it comes behind the saved head.
        if ((flags & (RecordFlags.Last | RecordFlags.Context)) == RecordFlags.Last)
            Remove(open);
    }

    /// <summary>The end of replay: segments that were completed before the checkpoint and whose last frame is gone are not open.</summary>
    public void ReplayEnded()
    {
        foreach (OpenSegment open in _open.Values.Where(o => IsCompleted(o.Key)).ToList())
            Remove(open);
        _isLive = true;
        foreach (OpenSegment open in _open.Values)
            Weigh(open);
        while (_decoders > _options.MaxOpenSegments)
            DropOldestDecoder(null);
    }

    private bool ReplayRecord(OpenSegment open, ReadOnlySpan<byte> payload, ulong record, RecordFlags flags, ulong sequence)
    {
        bool hasRefusals = _refusalsOf is { } of && of.Key == open.Key && of.Record == record && of.Sequence + 1 == sequence;
        if (record == 0)
        {
            open.Context = sequence - (hasRefusals ? 1UL : 0);
            if ((flags & RecordFlags.Refused) == 0)
            {
                open.IsBroken = false;
                Start(open);
            }
        }
        bool counts = (flags & RecordFlags.Context) == 0 && sequence >= CountFrom;
        if ((flags & RecordFlags.Refused) != 0)
        {
            if (counts)
                Ledger.Refused(open.Key.Agent);
            Break(open);
            return true;
        }
        if (open.Decoder is null || (ulong)open.Decoder.Records != record)
        {
            Drop(open);
            return (flags & RecordFlags.Context) != 0;
        }
        if (open.Decoder.Apply(payload) != DecodeOutcome.Applied)
        {
            Break(open);
            return false;
        }
        if ((flags & RecordFlags.Context) == 0)
        {
            long keptOut = _head.KeptOut;
            // Refusals that are lost, and frames of older programs: all of it is judged anew.
            bool someRefused = (flags & RecordFlags.SomeRefused) != 0;
            _head.IsDecided = (flags & RecordFlags.Decided) != 0 && (!someRefused || hasRefusals);
            _ticks.Apply(open.Decoder.Tick, open.Key.Agent, (flags & RecordFlags.DropAhead) != 0 && !_head.IsDecided, someRefused && hasRefusals ? _refusals : null);
            if (counts)
                Count(open, keptOut);
        }
        return true;
    }
}
