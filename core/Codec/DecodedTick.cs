using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>What a family said about itself in a record.</summary>
public readonly record struct FamilyMetadata(string Family, MetricMetadata Metadata);

/// <summary>
/// The tick of the record that was applied last; valid until the next <see cref="SegmentDecoder.Apply"/>. Bitmaps are words of 64 slots, as in <see cref="SourceTick"/>.
/// </summary>
public sealed class DecodedTick
{
    private const int KeepEntries = 16_384;
    internal ulong[] ChangedWords = [];
    internal ulong[] EndedWords = [];

    /// <summary>The source; its table holds the series.</summary>
    public DecodedSource Source { get; internal set; } = new(0, "", 0);

    /// <summary>Time of the tick, Unix ms.</summary>
    public long TimestampMs { get; internal set; }

    /// <summary>Samples that the record says it holds, stale markers included.</summary>
    public long Samples { get; internal set; }

    /// <summary>Slots that this record defined, ascending.</summary>
    public List<int> Defined { get; } = [];

    /// <summary>The value by slot: of this tick where present.</summary>
    public ReadOnlySpan<double> Values => Source.Values;

    /// <summary>Bit set: the slot has a float sample at <see cref="TimestampMs"/>.</summary>
    public ReadOnlySpan<ulong> Present => Source.State.Present.AsSpan(0, Source.State.Words);

    /// <summary>Bit set: present, and its value may differ from the slot's last one.</summary>
    public ReadOnlySpan<ulong> Changed => ChangedWords.AsSpan(0, Source.State.Words);

    /// <summary>Bit set: the series ended; a stale marker at <see cref="TimestampMs"/> is due.</summary>
    public ReadOnlySpan<ulong> Ended => EndedWords.AsSpan(0, Source.State.Words);

    /// <summary>Samples with a time of their own.</summary>
    public List<TimedSample> Timed { get; } = [];

    /// <summary>Start timestamps that are new, changed, or said again at the start of a segment; of one slot the last counts.</summary>
    public List<SlotStart> Starts { get; } = [];

    /// <summary>Native histograms.</summary>
    public List<SlotHistogram> Histograms { get; } = [];

    /// <summary>Exemplars.</summary>
    public List<SlotExemplar> Exemplars { get; } = [];

    /// <summary>Family descriptions; of one family the last counts.</summary>
    public List<FamilyMetadata> Metadata { get; } = [];

    internal void Clear()
    {
        Clear(Defined);
        Clear(Timed);
        Clear(Starts);
        Clear(Histograms);
        Clear(Exemplars);
        Clear(Metadata);
    }

    // Room that one large record took is given back: there is a tick per open segment.
    private static void Clear<T>(List<T> list)
    {
        list.Clear();
        if (list.Capacity > KeepEntries)
            list.Capacity = 0;
    }

    internal void Fit(int words)
    {
        if (ChangedWords.Length < words)
        {
            ChangedWords = new ulong[Math.Max(words, ChangedWords.Length * 2)];
            EndedWords = new ulong[ChangedWords.Length];
        }
        Array.Clear(EndedWords);
    }
}
