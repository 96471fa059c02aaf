using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Store.Chunks;

namespace Bellwether.Store.Records;

/// <summary>
/// What of a record was refused when it came: for age, for a limit, for a wrong time. It stands in the log before the record, which stands there as it came, so that replay decides as it was decided
/// then, whatever the clock, the limits and the number of series are by now. Runs of places in ascending order; a place is a slot of the record's tick, then a sample with its own time, then a histogram.
/// </summary>
internal sealed class RecordRefusals
{
    private readonly List<(int From, int Length, AppendOutcome Outcome)> _runs = [];

    public bool IsEmpty => _runs.Count == 0;

    public void Clear() => _runs.Clear();

    /// <summary>The place of a sample with its own time.</summary>
    public static int PlaceOfTimed(DecodedTick tick, int index) => tick.Source.Count + index;

    /// <summary>The place of a histogram.</summary>
    public static int PlaceOfHistogram(DecodedTick tick, int index) => tick.Source.Count + tick.Timed.Count + index;

    /// <summary>Notes places, behind all that were noted before.</summary>
    public void Add(int from, int length, AppendOutcome outcome)
    {
        if (_runs.Count > 0 && _runs[^1] is var last && last.From + last.Length == from && last.Outcome == outcome)
            _runs[^1] = last with { Length = last.Length + length };
        else
            _runs.Add((from, length, outcome));
    }

    /// <summary>Whether a place was refused, and why.</summary>
    public bool Contains(int place, out AppendOutcome outcome)
    {
        int low = 0, high = _runs.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_runs[middle].From + _runs[middle].Length <= place)
                low = middle + 1;
            else
                high = middle;
        }
        bool isRefused = low < _runs.Count && _runs[low].From <= place;
        outcome = isRefused ? _runs[low].Outcome : AppendOutcome.Stored;
        return isRefused;
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)_runs.Count);
        int before = 0;
        foreach ((int from, int length, AppendOutcome outcome) in _runs)
        {
            into.Varint((ulong)(from - before));
            into.Varint((ulong)length);
            into.Byte((byte)outcome);
            before = from + length;
        }
    }

    /// <summary>Reads what <see cref="Write"/> wrote. Throws <see cref="InvalidDataException"/>.</summary>
    public void Read(ref ByteReader from)
    {
        Clear();
        int count = from.Count(from.Left);
        int place = 0;
        for (int i = 0; i < count; i++)
        {
            place += from.Count(int.MaxValue - place);
            int length = from.Count(int.MaxValue - place);
            var outcome = (AppendOutcome)from.Byte();
            if (!Enum.IsDefined(outcome))
                throw new InvalidDataException($"a refusal of kind {(int)outcome} is not known");
            _runs.Add((place, length, outcome));
            place += length;
        }
    }
}
