using System.Text.Json;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

/// <summary>
/// Rebuilds the list of segments and the ledger from the log's frames at opening. Records behind a missing one cannot be decoded by anybody: they are counted as damaged; what is
/// missing itself shows when the next ledger frame says more than was counted up to it.
/// </summary>
internal sealed class SpoolReplay(SpoolLedger ledger, SpoolState? kept, SpoolKeys? keys)
{
    private SpoolSegment? _current;
    private Dictionary<int, string> _sources = [];
    private ulong _lastFile;
    private ulong _lastSequence;
    private readonly List<(ulong FirstSequence, ulong NextSequence)> _gaps = [];
    private readonly List<(ulong FirstSequence, ulong NextSequence, (ulong Key, int Account, long Samples, long TimestampMs) Missing)> _unsure = [];
    private bool _whole;
    private byte[] _opened = [];

    public List<SpoolSegment> Segments { get; } = [];

    /// <summary>Samples that cannot be sent any more: a key that is the same whenever the same damage is found, source, samples, time.</summary>
    public List<(ulong Key, int Account, long Samples, long TimestampMs)> Damaged { get; } = [];

    public ulong EpochMax { get; private set; }

    public ulong NumberMax { get; private set; }

    public void Visit(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        // Files between may have been freed on purpose: only the log's report can tell that from files that it could not read.
        if (file != _lastFile && sequence > _lastSequence + 1)
            _gaps.Add((_lastSequence + 1, sequence));
        _lastFile = file;
        _lastSequence = sequence;
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

    /// <summary>Counts what is missing where the log lost frames, called once it is open. What was freed in the same gap counts as well then: rather too much than nothing.</summary>
    public void TakeLost(IReadOnlyList<LostRange> lost)
    {
        foreach ((ulong first, ulong next, (ulong Key, int Account, long Samples, long TimestampMs) missing) in _unsure)
        {
            if (lost.Any(l => l.NextSequence > l.FirstSequence && l.FirstSequence < next && l.NextSequence > first))
                Damaged.Add(missing);
        }
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
        _sources = [];
        Segments.Add(_current);
        EpochMax = Math.Max(EpochMax, id.Epoch);
        NumberMax = Math.Max(NumberMax, id.Number);
    }

    private void VisitLedger(ulong sequence, ReadOnlySpan<byte> payload)
    {
        bool whole = _whole && _gaps.Count == 0;
        long timeMs = _current?.CreatedMs ?? 0;
        try
        {
            using JsonDocument document = JsonDocument.Parse(payload.ToArray());
            ledger.Take(document.RootElement, (account, spooled) =>
            {
                if (_current is { Locked: not null } locked && spooled > account.Spooled)
                    locked.Sources[ledger.IndexOf(account.Name)] = new SourceSpan(spooled - account.Spooled, timeMs, timeMs);
                else if (whole && spooled > account.Spooled)
                    Damaged.Add((sequence, ledger.IndexOf(account.Name), spooled - account.Spooled, timeMs));
                else if (_whole && spooled > account.Spooled)
                    _unsure.Add((_gaps[0].FirstSequence, _gaps[^1].NextSequence, (sequence, ledger.IndexOf(account.Name), spooled - account.Spooled, timeMs)));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
            _whole = true;
            _gaps.Clear();
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            _whole = false; // of another version: the next one may be readable
        }
    }

    private void VisitRecord(ulong sequence, ReadOnlySpan<byte> payload)
    {
        bool readable = RecordHeader.TryRead(payload, CodecLimits.Default, out RecordHeader header) == DecodeOutcome.Applied;
        if (readable && header.NewName is { } name)
            _sources[header.Source] = name;
        int account = ledger.IndexOf(_sources.GetValueOrDefault(header.Source, ""));
        if (readable)
            ledger[account].Spooled += header.Samples;
        if (_current is not null && sequence == _current.EndSequence)
        {
            _current.Saw(account, readable ? header.Samples : 0, readable ? header.TimestampMs : _current.CreatedMs, payload.Length);
            _current.Settle();
        }
        else if (readable)
        {
            Damaged.Add((_current?.FirstSequence ?? 0, account, header.Samples, header.TimestampMs));
        }
    }
}
