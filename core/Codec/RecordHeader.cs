namespace Bellwether.Core.Codec;

/// <summary>
/// What a record says in the clear, before its body: enough to count and to age records without decoding them (docs/formats/record.md).
/// </summary>
/// <param name="Source">The source's number in its segment, from 0.</param>
/// <param name="NewName">The source's name when this record introduces it, else null.</param>
/// <param name="IntervalMs">How often a tick of a new source is due, ms; 0 for a known one.</param>
/// <param name="TimestampMs">Time of the tick, Unix ms.</param>
/// <param name="Samples">Samples in it, stale markers included.</param>
public readonly record struct RecordHeader(int Source, string? NewName, int IntervalMs, long TimestampMs, long Samples)
{
    /// <summary>The format version that is written.</summary>
    public const byte Version = 1;

    /// <summary>The earliest time of a tick, 0001-01-01, Unix ms.</summary>
    public const long TimeMin = -62_135_596_800_000;

    /// <summary>The latest, 9999-12-31.</summary>
    public const long TimeMax = 253_402_300_799_999;

    internal const byte Compressed = 1;
    internal const byte NewSource = 2;
    internal const byte OtherChanges = 4;

    internal const byte Definitions = 1;
    internal const byte PresentBits = 2;
    internal const byte EndedBits = 4;
    internal const byte Timed = 8;
    internal const byte Starts = 16;
    internal const byte Histograms = 32;
    internal const byte Exemplars = 64;
    internal const byte Metadata = 128;

    /// <summary>Reads the header of a record. Any outcome but <see cref="DecodeOutcome.Applied"/> means that there is none.</summary>
    public static DecodeOutcome TryRead(ReadOnlySpan<byte> record, CodecLimits limits, out RecordHeader header)
    {
        var source = new ByteSource(record);
        header = Read(ref source, limits, out _, out _);
        return source.Outcome;
    }

    internal static RecordHeader Read(ref ByteSource source, CodecLimits limits, out byte flags, out byte sections)
    {
        byte version = source.Byte();
        if (source.Ok && version != Version)
            source.Fail(DecodeOutcome.UnknownVersion);
        flags = source.Byte();
        sections = source.Byte();
        if ((flags & ~(Compressed | NewSource | OtherChanges)) != 0)
            source.Fail(DecodeOutcome.Malformed);
        ulong number = source.Varint();
        if (number >= (ulong)limits.SourcesPerSegmentMax)
            source.Fail(DecodeOutcome.OverLimit);
        string? name = null;
        ulong interval = 0;
        if ((flags & NewSource) != 0)
        {
            name = source.String(limits.StringBytesMax);
            interval = source.Varint();
            if (interval > int.MaxValue)
                source.Fail(DecodeOutcome.Malformed);
        }
        long timestamp = source.Signed();
        // Arithmetic with times further away would overflow; no clock shows them.
        if (timestamp is < TimeMin or > TimeMax)
            source.Fail(DecodeOutcome.Malformed);
        ulong samples = source.Varint();
        if (samples > (ulong)limits.InflatedBytesMax * 8)
            source.Fail(DecodeOutcome.OverLimit);
        return source.Ok ? new RecordHeader((int)number, name, (int)interval, timestamp, (long)samples) : default;
    }
}
