using System.Text.Json;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;

namespace Bellwether.Agent.Spool;

/// <summary>
/// Rebuilds the list of segments and the ledger from the log's frames at opening. Records behind a missing one cannot be decoded by anybody: they are counted as damaged; what is
/// missing itself shows when the next ledger frame says more than was counted up to it.
/// </summary>
internal sealed class SpoolReplay(SpoolLedger ledger, SpoolState? kept)
{
    private SpoolSegment? _current;
    private Dictionary<int, string> _sources = [];
    private ulong _lastFile;
    private ulong _lastSequence;
    private bool _whole;

    public List<SpoolSegment> Segments { get; } = [];

    /// <summary>Samples that cannot be sent any more: a key that is the same whenever the same damage is found, source, samples, time.</summary>
    public List<(ulong Key, int Account, long Samples, long TimestampMs)> Damaged { get; } = [];

    public ulong EpochMax { get; private set; }

    public ulong NumberMax { get; private set; }

    public void Visit(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        // Files between may have been freed on purpose: then nothing is known of what was in them.
        _whole &= file == _lastFile || sequence == _lastSequence + 1;
        _lastFile = file;
        _lastSequence = sequence;
        if (kind == SpoolFrames.Ledger)
        {
            VisitLedger(sequence, payload);
        }
        else if (kind == SpoolFrames.SegmentBegins && SpoolFrames.TryReadBegin(payload, out SegmentRef id, out long createdMs))
        {
            Begin(id, sequence + 1, createdMs);
        }
        else if (kind == SpoolFrames.Record)
        {
            VisitRecord(sequence, payload);
        }
    }

    private void Begin(SegmentRef id, ulong firstSequence, long createdMs)
    {
        _current = new SpoolSegment(id, firstSequence, createdMs) { Closed = true };
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
        bool whole = _whole;
        long timeMs = _current?.CreatedMs ?? 0;
        try
        {
            using JsonDocument document = JsonDocument.Parse(payload.ToArray());
            ledger.Take(document.RootElement, (account, spooled) =>
            {
                if (whole && spooled > account.Spooled)
                    Damaged.Add((sequence, ledger.IndexOf(account.Name), spooled - account.Spooled, timeMs));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
            _whole = true;
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
