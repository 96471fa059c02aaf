using Bellwether.Core.Codec;

namespace Bellwether.Store.Records;

/// <summary>A segment that is not closed, or not durably.</summary>
internal sealed class OpenSegment(SegmentKey key)
{
    public SegmentKey Key { get; } = key;

    /// <summary>Stands behind the records that it has seen; null when it was given up or lost.</summary>
    public SegmentDecoder? Decoder { get; set; }

    /// <summary>What the decoder counts among its agent's.</summary>
    public long DecoderBytes { get; set; }

    /// <summary>Records 0 .. Applied-1 are applied.</summary>
    public ulong Applied { get; set; }

    /// <summary>Records 0 .. Durable-1 are fsynced.</summary>
    public ulong Durable { get; set; }

    /// <summary>The decoder's last record is not applied: it waits until the hold takes it.</summary>
    public bool Waits { get; set; }

    /// <summary>A record was refused: nothing after it can be decoded.</summary>
    public bool IsBroken { get; set; }

    /// <summary>Closed by the agent and applied.</summary>
    public bool Complete { get; set; }

    /// <summary>The frame of its last record says that it is closed.</summary>
    public bool ClosedByFrame { get; set; }

    /// <summary>The frame with which its decoder's records begin.</summary>
    public ulong Context { get; set; } = ulong.MaxValue;

    /// <summary>Counts up with each use of any segment.</summary>
    public long LastUse { get; set; }

    /// <summary>Index of the record that it can take next.</summary>
    public ulong Position => IsBroken ? Applied : Decoder is null ? 0 : (ulong)Decoder.Records - (Waits ? 1UL : 0);

    public bool DurablyComplete => Complete && Durable == Applied;

    public bool IsResumable => IsBroken || (Decoder is null ? Applied == 0 : (ulong)Decoder.Records >= Applied);
}
