namespace Bellwether.Core.Codec;

/// <summary>What the encoder keeps of one source.</summary>
internal sealed class EncoderSource(SourceTable table)
{
    public SourceTable Table { get; } = table;

    public SlotState State { get; } = new();

    /// <summary>The source's number in the segment <see cref="Segment"/>.</summary>
    public int Number { get; private set; }

    /// <summary>Which segment of the encoder the state belongs to.</summary>
    public int Segment { get; private set; } = -1;

    /// <summary>Ticks of the source in the segment.</summary>
    public int Ticks { get; set; }

    /// <summary>How much of the table's metadata log was sent; outlives the segment.</summary>
    public int MetadataSent { get; set; }

    /// <summary>Start timestamps by slot, 0: unknown; outlives the segment, since every segment must say them again.</summary>
    public long[] Starts { get; private set; } = [];

    public void Enter(int segment, int number)
    {
        State.Clear();
        Segment = segment;
        Number = number;
        Ticks = 0;
    }

    public void SetStart(int slot, long startMs)
    {
        if (slot >= Starts.Length)
        {
            long[] grown = new long[Math.Max(slot + 1, Table.Count)];
            Starts.CopyTo(grown, 0);
            Starts = grown;
        }
        Starts[slot] = startMs;
    }
}
