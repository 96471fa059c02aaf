using System.Text.Json;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

/// <summary>
/// Rebuilds the list of segments and the ledger from the log's frames at opening. Records behind a missing one cannot be decoded by anybody and are in no segment; the next ledger
/// frame says how many there were. How much of all that is lost follows from the ledger as a whole (<see cref="SpoolLedger.Account.Missing"/>); here stands of which time it was.
/// </summary>
internal sealed class SpoolReplay(SpoolLedger ledger, SpoolState? kept, SpoolKeys? keys)
{
    private SpoolSegment? _current;
    private Dictionary<int, string> _sources = [];
    private readonly List<Jump> _jumps = [];
    private ulong? _ledgerSequence;
    private ulong _doneAt = ulong.MaxValue;
    private long _newestMs;
    private byte[] _opened = [];

    /// <summary>A ledger frame that says more of a source than was counted up to it: of files that were freed, or of frames that are lost.</summary>
    private sealed record Jump(ulong AfterSequence, ulong Sequence, int Account, SourceSpan Samples);

    public List<SpoolSegment> Segments { get; } = [];

    /// <summary>Samples behind the newest ledger frame in records of which nobody knows whose they are, and their times.</summary>
    public SourceSpan Orphans { get; private set; }

    public ulong EpochMax { get; private set; }

    public ulong NumberMax { get; private set; }

    public void Visit(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        if (kind == SpoolFrames.Ledger)
        {
            VisitLedger(sequence, payload);
        }
        else if (kind == SpoolFrames.SegmentBegins && SpoolFrames.TryReadBegin(payload, out SegmentRef id, out long createdMs))
        {
            Begin(id, sequence + 1, createdMs, payload);
        }
        else if (kind == SpoolFrames.Record && _current is not { Cipher: not null } and not { Locked: not null })
        {
            VisitRecord(sequence, payload);
        }
        else if (kind == SpoolFrames.SealedRecord)
        {
            VisitSealed(sequence, payload);
        }
    }

    /// <summary>Samples known by the ledger only, to whom a locked segment must have them: called once all frames were visited.</summary>
    public void Finish(Action<SpoolSegment> restOf)
    {
        _current?.Cipher?.Rest();
        if (_current is { Locked: not null })
            restOf(_current);
    }

    /// <summary>
    /// What of a source the ledger frames know to stand where the log lost frames. Files between may have been freed on purpose: only the log's report can tell that from what it could
    /// not read. What was freed in the same gap is in it as well.
    /// </summary>
    public SourceSpan LostOf(int account, IReadOnlyList<LostRange> lost)
    {
        SourceSpan sum = default;
        foreach (Jump jump in _jumps)
        {
            if (jump.Account == account && lost.Any(l => l.NextSequence > l.FirstSequence && l.FirstSequence < jump.Sequence && l.NextSequence > jump.AfterSequence))
                sum = sum.Plus(jump.Samples);
        }
        return ledger[account].Name.Length == 0 && Orphans.Samples > 0 ? sum.Plus(Orphans) : sum;
    }

    private void VisitSealed(ulong sequence, ReadOnlySpan<byte> frame)
    {
        if (_current is { Locked: not null } locked && sequence == locked.EndSequence)
        {
            locked.Saw(ledger.IndexOf(""), 0, locked.CreatedMs, frame.Length);
            locked.Settle();
            return;
        }
        if (_current?.Cipher is not { } cipher || frame.Length < SegmentCipher.AddedBytes)
            return;
        if (_opened.Length < frame.Length)
            _opened = new byte[frame.Length * 2];
        // One that is not what was written here is as one that is missing: what is behind it cannot be decoded.
        if (cipher.TryOpen(sequence, frame, _opened))
            VisitRecord(sequence, _opened.AsSpan(0, frame.Length - SegmentCipher.AddedBytes));
    }

    private void Begin(SegmentRef id, ulong firstSequence, long createdMs, ReadOnlySpan<byte> payload)
    {
        _current?.Cipher?.Rest();
        string? locked = null;
        SegmentCipher? cipher = payload.Length == SpoolFrames.BeginBytes ? null : SpoolKeys.Open(keys, payload, id, out locked);
        _current = new SpoolSegment(id, firstSequence, createdMs) { Closed = true, MayBeSent = true, Cipher = cipher, Locked = cipher is null && payload.Length > SpoolFrames.BeginBytes ? locked : null };
        // The share that is acknowledged is taken out once all is there.
        if (kept is not null && kept.Acknowledged.ContainsKey(id))
            _current.Facts = [];
        _doneAt = kept is not null && kept.Acknowledged.TryGetValue(id, out SegmentFate fate) && fate.Complete ? fate.EndSequence : ulong.MaxValue;
        _sources = [];
        Segments.Add(_current);
        // What is missing before this was collected before it began.
        for (int i = _jumps.Count - 1; i >= 0 && _jumps[i].Sequence + 2 == firstSequence; i--)
            _jumps[i] = _jumps[i] with { Samples = _jumps[i].Samples with { ToMs = Math.Max(_jumps[i].Samples.FromMs, createdMs) } };
        _newestMs = Math.Max(_newestMs, createdMs);
        EpochMax = Math.Max(EpochMax, id.Epoch);
        NumberMax = Math.Max(NumberMax, id.Number);
    }

    private void VisitLedger(ulong sequence, ReadOnlySpan<byte> payload)
    {
        long timeMs = _current?.CreatedMs ?? 0;
        try
        {
            using JsonDocument document = JsonDocument.Parse(payload.ToArray());
            ledger.Take(document.RootElement, (account, spooled) =>
            {
                long more = spooled - account.Spooled;
                if (more > 0 && _current is { Locked: not null } locked)
                    locked.Sources[ledger.IndexOf(account.Name)] = new SourceSpan(more, timeMs, timeMs);
                else if (more > 0 && _ledgerSequence is { } after)
                    _jumps.Add(new Jump(after, sequence, ledger.IndexOf(account.Name), new SourceSpan(more, _newestMs, _newestMs)));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
            _ledgerSequence = sequence;
            Orphans = default;
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            _ledgerSequence = null; // of another version: the next one may be readable
        }
    }

    private void VisitRecord(ulong sequence, ReadOnlySpan<byte> payload)
    {
        // Written by a sync that failed, given up and counted, before the segment was done with.
        if (sequence >= _doneAt)
            return;
        bool readable = RecordHeader.TryRead(payload, CodecLimits.Default, out RecordHeader header) == DecodeOutcome.Applied;
        if (_current is null || sequence != _current.EndSequence)
        {
            if (readable)
                Orphans = Orphans.Plus(header.Samples, header.TimestampMs);
            return;
        }
        if (readable && header.NewName is { } name)
            _sources[header.Source] = name;
        int account = ledger.IndexOf(_sources.GetValueOrDefault(header.Source, ""));
        if (readable)
        {
            ledger[account].Spooled += header.Samples;
            _newestMs = Math.Max(_newestMs, header.TimestampMs);
        }
        _current.Saw(account, readable ? header.Samples : 0, readable ? header.TimestampMs : _current.CreatedMs, payload.Length);
        _current.Settle();
    }
}
