using Bellwether.Store.Chunks;

namespace Bellwether.Store.Records;

/// <summary>
/// Which segments of an agent's epoch are wholly durable. The newest are known with their random part. Of older ones the numbers only, which is not enough to say of a segment
/// that it is here: an agent that was put back to an older state gives the same numbers again, to new segments. It is applied then, and what of it was here already changes nothing.
/// </summary>
internal sealed class CompletedSegments
{
    /// <summary>How many segments are known exactly.</summary>
    public const int MaxExact = 2048;

    private const int MaxRanges = 1 << 16;
    // A ring. Searched through: there is one of these per agent, so that a table would cost more than it saves.
    private uint[] _nonces = [];
    private ulong[] _numbers = [];
    private int _count;
    private int _oldest;
    private readonly List<(ulong First, ulong Last)> _ranges = [];

    public bool Contains(ulong number, uint nonce)
    {
        for (int from = 0; from < _count;)
        {
            int at = _nonces.AsSpan(from, _count - from).IndexOf(nonce);
            if (at < 0)
                return false;
            if (_numbers[from + at] == number)
                return true;
            from += at + 1;
        }
        return false;
    }

    public void Add(ulong number, uint nonce)
    {
        if (Contains(number, nonce))
            return;
        if (_count == MaxExact)
        {
            AddRange(_numbers[_oldest]);
            (_numbers[_oldest], _nonces[_oldest]) = (number, nonce);
            _oldest = (_oldest + 1) % MaxExact;
            return;
        }
        if (_count == _nonces.Length)
        {
            int size = Math.Min(MaxExact, Math.Max(8, _count * 2));
            Array.Resize(ref _nonces, size);
            Array.Resize(ref _numbers, size);
        }
        (_numbers[_count], _nonces[_count]) = (number, nonce);
        _count++;
    }

    public void AddTo(SegmentNumbers numbers)
    {
        foreach ((ulong first, ulong last) in _ranges)
            numbers.Add(first, last);
        for (int i = 0; i < _count; i++)
            numbers.Add(_numbers[i], _numbers[i]);
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)_ranges.Count);
        foreach ((ulong first, ulong last) in _ranges)
        {
            into.Varint(first);
            into.Varint(last - first);
        }
        into.Varint((ulong)_count);
        for (int i = 0; i < _count; i++)
        {
            int at = (_oldest + i) % _count;
            into.Varint(_numbers[at]);
            into.UInt32(_nonces[at]);
        }
    }

    public static CompletedSegments Read(ref ByteReader from)
    {
        var read = new CompletedSegments();
        int ranges = from.Count(MaxRanges);
        for (int i = 0; i < ranges; i++)
        {
            ulong first = from.Varint();
            read._ranges.Add((first, first + from.Varint()));
        }
        int exact = from.Count(from.Left);
        for (int i = 0; i < exact; i++)
            read.Add(from.Varint(), from.UInt32());
        return read;
    }

    private int FindRange(ulong number)
    {
        int low = 0, high = _ranges.Count - 1;
        while (low <= high)
        {
            int mid = (low + high) >>> 1;
            if (number < _ranges[mid].First)
                high = mid - 1;
            else if (number > _ranges[mid].Last)
                low = mid + 1;
            else
                return mid;
        }
        return ~low;
    }

    private void AddRange(ulong number)
    {
        int at = FindRange(number);
        if (at >= 0)
            return;
        at = ~at;
        bool joinsBefore = at > 0 && _ranges[at - 1].Last + 1 == number;
        bool joinsAfter = at < _ranges.Count && _ranges[at].First == number + 1;
        if (joinsBefore && joinsAfter)
        {
            _ranges[at - 1] = (_ranges[at - 1].First, _ranges[at].Last);
            _ranges.RemoveAt(at);
        }
        else if (joinsBefore)
        {
            _ranges[at - 1] = (_ranges[at - 1].First, number);
        }
        else if (joinsAfter)
        {
            _ranges[at] = (number, _ranges[at].Last);
        }
        else
        {
            _ranges.Insert(at, (number, number));
            // The oldest gap is given up: its segments are older than anything an agent still holds.
            if (_ranges.Count > MaxRanges)
            {
                _ranges[1] = (_ranges[0].First, _ranges[1].Last);
                _ranges.RemoveAt(0);
            }
        }
    }
}

/// <summary>Collects ranges of segment numbers and joins those that touch.</summary>
internal sealed class SegmentNumbers
{
    private readonly List<(ulong First, ulong Last)> _ranges = [];

    public void Add(ulong first, ulong last) => _ranges.Add((first, last));

    public IReadOnlyList<(ulong First, ulong Last)> Ranges()
    {
        _ranges.Sort();
        var joined = new List<(ulong First, ulong Last)>();
        foreach ((ulong first, ulong last) in _ranges)
        {
            if (joined.Count > 0 && first <= joined[^1].Last + 1)
                joined[^1] = (joined[^1].First, Math.Max(joined[^1].Last, last));
            else
                joined.Add((first, last));
        }
        return joined;
    }
}
