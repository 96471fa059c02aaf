using Bellwether.Store.Chunks;

namespace Bellwether.Store.Wal;

/// <summary>Knows of the log's frames, some at a time, what keeps them: their newest sample, and the oldest frame that they need to be understood.</summary>
internal sealed class WalLedger
{
    private const int BitsPerGroup = 6;
    private readonly SortedDictionary<ulong, (long NewestMs, ulong Needs)> _groups = [];

    /// <summary>The first number at or above one with which a group begins.</summary>
    public static ulong GroupFrom(ulong sequence) => (sequence + (1UL << BitsPerGroup) - 1) >> BitsPerGroup << BitsPerGroup;

    /// <summary>A frame was logged (or replayed).</summary>
    /// <param name="sequence">Which.</param>
    /// <param name="newestMs">Its newest sample; <see cref="long.MinValue"/>: none.</param>
    /// <param name="context">The frame with which the dictionary or segment that it depends on begins.</param>
    public void Note(ulong sequence, long newestMs, ulong context)
    {
        context = Math.Min(context, sequence);
        ulong group = sequence >> BitsPerGroup;
        _groups[group] = _groups.TryGetValue(group, out (long NewestMs, ulong Needs) known)
            ? (Math.Max(known.NewestMs, newestMs), Math.Min(known.Needs, context))
            : (newestMs, context);
    }

    /// <summary>The first frame that must stay when all samples before a time stand in chunk files and nothing from <paramref name="limit"/> on may go.</summary>
    public ulong FirstNeeded(long boundaryMs, ulong limit)
    {
        ulong first = limit;
        foreach ((ulong group, (long newest, _)) in _groups)
        {
            if (newest < boundaryMs)
                continue;
            first = Math.Min(first, group << BitsPerGroup);
            break;
        }
        // Frames that are still needed depend on frames before them. Those between that are not needed may stay without what they depend on.
        ulong needed = first;
        foreach ((ulong group, (long newest, ulong needs)) in _groups)
        {
            ulong end = (group + 1) << BitsPerGroup;
            if (end > first && (newest >= boundaryMs || end > limit))
                needed = Math.Min(needed, needs);
        }
        return needed;
    }

    /// <summary>Forgets frames that are gone.</summary>
    public void Forget(ulong before)
    {
        foreach (ulong group in _groups.Keys.TakeWhile(g => (g + 1) << BitsPerGroup <= before).ToList())
            _groups.Remove(group);
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)_groups.Count);
        foreach ((ulong group, (long newest, ulong needs)) in _groups)
        {
            into.Varint(group);
            into.Zigzag(newest);
            into.Varint(needs);
        }
    }

    public void Read(ref ByteReader from)
    {
        int groups = from.Count(from.Left);
        for (int i = 0; i < groups; i++)
        {
            ulong group = from.Varint();
            _groups[group] = (from.Zigzag(), from.Varint());
        }
    }
}
