using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

/// <summary>What a read came to.</summary>
internal enum SegmentRead
{
    /// <summary>What there was.</summary>
    Read,
    /// <summary>The record at the index asked for, or one behind it, cannot be read any more.</summary>
    Damaged,
}

/// <summary>Readers that stand in segments, so that streaming one does not search its start again for each batch. Not thread-safe.</summary>
internal sealed class SpoolReaders(SegmentLog log) : IDisposable
{
    private const int ReadersMax = 4;
    private readonly List<Standing> _standing = [];

    /// <summary>Adds records from an index on; <paramref name="next"/> is the first that was not read. Throws <see cref="IOException"/> when the disk cannot be read.</summary>
    public SegmentRead Read(SpoolSegment segment, ulong first, int maxBytes, List<ReadOnlyMemory<byte>> into, out ulong next)
    {
        next = first;
        Standing reader = Take(segment, first);
        long bytes = 0;
        bool any = false;
        try
        {
            while (next < segment.Records)
            {
                if (!reader.HasFrame && !TryMove(reader, segment.FirstSequence + next))
                {
                    Drop(reader);
                    return SegmentRead.Damaged;
                }
                reader.HasFrame = true;
                ReadOnlySpan<byte> payload = reader.Log.Payload;
                int length = payload.Length - (segment.Cipher is null ? 0 : SegmentCipher.AddedBytes);
                if (any && bytes + length > maxBytes)
                    break;
                byte[] record = new byte[Math.Max(0, length)];
                if (segment.Cipher is null)
                {
                    payload.CopyTo(record);
                }
                else if (!segment.Cipher.TryOpen(reader.Log.Sequence, payload, record))
                {
                    Drop(reader);
                    return SegmentRead.Damaged;
                }
                into.Add(record);
                bytes += length;
                any = true;
                reader.HasFrame = false;
                next++;
            }
        }
        catch (IOException)
        {
            Drop(reader);
            throw;
        }
        reader.Next = next;
        return SegmentRead.Read;
    }

    /// <summary>Closes the readers in a segment.</summary>
    public void Forget(SpoolSegment segment)
    {
        foreach (Standing reader in _standing.FindAll(r => ReferenceEquals(r.Segment, segment)))
            Drop(reader);
        segment.Cipher?.Rest();
    }

    public void Dispose()
    {
        foreach (Standing reader in _standing)
            reader.Segment.Cipher?.Rest();
        foreach (Standing reader in _standing)
            reader.Log.Dispose();
        _standing.Clear();
    }

    private static bool TryMove(Standing reader, ulong sequence)
    {
        while (true)
        {
            switch (reader.Log.MoveNext())
            {
                case LogRead.Frame when reader.Log.Sequence == sequence:
                    return reader.Log.Kind == (reader.Segment.Cipher is null ? SpoolFrames.Record : SpoolFrames.SealedRecord);
                case LogRead.Frame when reader.Log.Sequence < sequence:
                    continue;
                default:
                    return false;
            }
        }
    }

    private Standing Take(SpoolSegment segment, ulong first)
    {
        int at = _standing.FindIndex(r => ReferenceEquals(r.Segment, segment) && r.Next == first);
        Standing reader;
        if (at >= 0)
        {
            reader = _standing[at];
            _standing.RemoveAt(at);
        }
        else
        {
            if (_standing.Count == ReadersMax)
                Drop(_standing[0]);
            reader = new Standing(log.Read(segment.FirstSequence + first), segment) { Next = first };
        }
        _standing.Add(reader); // used last: dropped last
        return reader;
    }

    private void Drop(Standing reader)
    {
        reader.Log.Dispose();
        _standing.Remove(reader);
    }

    private sealed class Standing(LogReader log, SpoolSegment segment)
    {
        public LogReader Log { get; } = log;

        public SpoolSegment Segment { get; } = segment;

        public ulong Next { get; set; }

        public bool HasFrame { get; set; }
    }
}
