using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;

namespace Bellwether.Agent.Spool;

/// <summary>Rebuilds the list of segments from the log's frames at opening. Records behind a missing one cannot be decoded by anybody: they are counted as damaged.</summary>
internal sealed class SpoolReplay
{
    private SpoolSegment? _current;
    private Dictionary<int, string> _sources = [];

    public List<SpoolSegment> Segments { get; } = [];

    /// <summary>Samples that cannot be sent any more, by source.</summary>
    public Dictionary<string, long> Damaged { get; } = [];

    public ulong EpochMax { get; private set; }

    public ulong NumberMax { get; private set; }

    public void Visit(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        if (kind == SpoolFrames.SegmentBegins && SpoolFrames.TryReadBegin(payload, out SegmentRef id, out long createdMs))
        {
            _current = new SpoolSegment(id, sequence + 1, createdMs) { Closed = true };
            _sources = [];
            Segments.Add(_current);
            EpochMax = Math.Max(EpochMax, id.Epoch);
            NumberMax = Math.Max(NumberMax, id.Number);
        }
        else if (kind == SpoolFrames.Record)
        {
            VisitRecord(sequence, payload);
        }
    }

    private void VisitRecord(ulong sequence, ReadOnlySpan<byte> payload)
    {
        bool readable = RecordHeader.TryRead(payload, CodecLimits.Default, out RecordHeader header) == DecodeOutcome.Applied;
        if (readable && header.NewName is { } name)
            _sources[header.Source] = name;
        if (_current is not null && sequence == _current.EndSequence)
        {
            _current.Saw(readable ? header.TimestampMs : _current.CreatedMs, payload.Length);
            _current.Settle();
        }
        else if (readable)
        {
            string source = _sources.GetValueOrDefault(header.Source, "");
            Damaged[source] = Damaged.GetValueOrDefault(source) + header.Samples;
        }
    }
}
