namespace Bellwether.Core.Codec;

/// <summary>What became of a tick handed to <see cref="SegmentEncoder.Encode"/>.</summary>
public enum EncodeOutcome
{
    /// <summary>Its record stands in <see cref="SegmentEncoder.Record"/>.</summary>
    Encoded,
    /// <summary>The segment is at a limit: start a new one and encode the tick again.</summary>
    SegmentFull,
    /// <summary>The tick itself is over a limit and will never fit; a new segment must be started before the next tick.</summary>
    OverLimit,
}

/// <summary>What became of a record handed to <see cref="SegmentDecoder.Apply"/>. Every member has a counter label of its own.</summary>
public enum DecodeOutcome
{
    /// <summary>Applied: <see cref="SegmentDecoder.Tick"/> shows it.</summary>
    Applied,
    /// <summary>The record's format version is not known here.</summary>
    UnknownVersion,
    /// <summary>It ends too early.</summary>
    Truncated,
    /// <summary>It contradicts itself or the records before it.</summary>
    Malformed,
    /// <summary>It would go over a limit of <see cref="CodecLimits"/>.</summary>
    OverLimit,
    /// <summary>A record before it was refused, so this one cannot be understood: the rest of the segment is lost.</summary>
    Broken,
}
