using Bellwether.Agent.Stream;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>A spool as a list in memory: the model that sessions are run against. Thread-safe.</summary>
internal sealed class ListSpool : IStreamSpool
{
    private readonly Lock _gate = new();
    private readonly List<Segment> _segments = [];
    private readonly Random _random;
    private readonly Dictionary<SegmentRef, List<byte[]>> _all = [];
    private ulong _nextNumber = 1;

    public ListSpool(Random random) => _random = random;

    private sealed class Segment
    {
        public required SegmentRef Id;
        public readonly List<byte[]> Records = [];
        public bool Closed;
        public ulong Acknowledged;
    }

    public ulong Epoch => 7;

    public ulong NextNumber => _nextNumber;

    /// <summary>Everything that was ever appended, by segment.</summary>
    public IReadOnlyDictionary<SegmentRef, List<byte[]>> All => _all;

    public List<(SegmentRef Id, ulong Records, bool Complete)> Freed { get; } = [];

    public long Bytes => Count(static r => r.Length);

    public long Records => Count(static _ => 1);

    public long OldestMs => Records == 0 ? 0 : 1;

    public void Append(byte[] payload)
    {
        lock (_gate)
        {
            if (_segments.Count == 0 || _segments[^1].Closed)
            {
                var id = new SegmentRef(Epoch, _nextNumber++, (uint)_random.Next());
                _segments.Add(new Segment { Id = id });
                _all[id] = [];
            }
            _segments[^1].Records.Add(payload);
            _all[_segments[^1].Id].Add(payload);
        }
    }

    public void ListSegments(List<SpooledSegment> into)
    {
        lock (_gate)
        {
            into.Clear();
            foreach (Segment segment in _segments)
                into.Add(new SpooledSegment(segment.Id, (ulong)segment.Records.Count, segment.Closed));
        }
    }

    public void ListDropped(List<SegmentRef> into) => into.Clear();

    public bool TryRead(SegmentRef segment, ulong firstRecord, int maxBytes, List<ReadOnlyMemory<byte>> into)
    {
        lock (_gate)
        {
            if (_segments.Find(s => s.Id == segment) is not { } found)
                return false;
            int bytes = 0;
            for (int i = (int)firstRecord; i < found.Records.Count; i++)
            {
                bytes += found.Records[i].Length;
                if (i > (int)firstRecord && bytes > maxBytes)
                    break;
                into.Add(found.Records[i]);
            }
            return true;
        }
    }

    public void Acknowledge(SegmentRef segment, ulong records, bool complete)
    {
        lock (_gate)
        {
            Freed.Add((segment, records, complete));
            if (_segments.Find(s => s.Id == segment) is not { } found)
                return;
            found.Acknowledged = Math.Max(found.Acknowledged, records);
            // As the spool: freed is only what is closed here and wholly held there.
            if (complete && found.Closed && found.Acknowledged >= (ulong)found.Records.Count)
                _segments.Remove(found);
        }
    }

    public ulong StartSegment()
    {
        lock (_gate)
        {
            if (_segments.Count > 0)
                _segments[^1].Closed = true;
            return _nextNumber;
        }
    }

    public void SkipTo(ulong number)
    {
        lock (_gate)
            _nextNumber = Math.Max(_nextNumber, number);
    }

    private long Count(Func<byte[], long> what)
    {
        lock (_gate)
            return _segments.Sum(s => s.Records.Skip((int)s.Acknowledged).Sum(what));
    }
}

/// <summary>A promise that the test sets.</summary>
internal sealed class SetWatermark : IWatermarkSource
{
    public long PromisedMs { get; set; }
}
