namespace Bellwether.Core.Codec;

/// <summary>What both ends keep per slot of a source within a segment. Arrays grow by doubling.</summary>
internal sealed class SlotState
{
    public double[] Last = [];
    public long[] Mantissa = [];
    public byte[] Scale = [];
    /// <summary>Bit set: the series was defined in this segment.</summary>
    public ulong[] Defined = [];
    /// <summary>Bit set: the slot has a column value in this segment, so that a later tick may say "unchanged".</summary>
    public ulong[] Known = [];
    /// <summary>Bit set: present in the source's last tick.</summary>
    public ulong[] Present = [];
    /// <summary>Bit set: known before the source's last tick and changed in it; the next tick's changes are coded against it.</summary>
    public ulong[] Changed = [];

    /// <summary>One more than the highest defined slot.</summary>
    public int Slots { get; private set; }

    public int Words => (Slots + 63) >> 6;

    /// <summary>Grows to hold slots 0 .. slots - 1.</summary>
    public void Extend(int slots)
    {
        if (slots <= Slots)
            return;
        if (slots > Last.Length)
        {
            int words = (Math.Max(slots, Last.Length * 2) + 63) >> 6;
            int old = Last.Length;
            Array.Resize(ref Last, words << 6);
            Array.Resize(ref Mantissa, words << 6);
            Array.Resize(ref Scale, words << 6);
            Scale.AsSpan(old).Fill(ValueCode.Raw);
            Array.Resize(ref Defined, words);
            Array.Resize(ref Known, words);
            Array.Resize(ref Present, words);
            Array.Resize(ref Changed, words);
        }
        Slots = slots;
    }

    /// <summary>As in a new segment; the memory stays.</summary>
    public void Clear()
    {
        Array.Clear(Last);
        Array.Clear(Mantissa);
        Scale.AsSpan().Fill(ValueCode.Raw);
        Array.Clear(Defined);
        Array.Clear(Known);
        Array.Clear(Present);
        Array.Clear(Changed);
        Slots = 0;
    }
}
