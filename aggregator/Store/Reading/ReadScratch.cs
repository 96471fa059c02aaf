using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Reading;

/// <summary>What reading the series of a selection needs beside the result. One thread at a time.</summary>
internal sealed class ReadScratch
{
    public SampleGather Gather { get; } = new();

    public ChunkScratch Chunks { get; } = new();

    public EdgeColumns Edges { get; } = new();
}

/// <summary>Hands the same few scratches out again: thousands of rules each read a handful of samples, and would throw more memory away than they read. Thread-safe.</summary>
internal sealed class ReadScratches
{
    private const int MaxEdges = 1 << 16;
    private readonly ReadScratch?[] _spare = new ReadScratch?[4];

    /// <summary>One for the caller alone, until it gives it back.</summary>
    public ReadScratch Rent()
    {
        for (int i = 0; i < _spare.Length; i++)
        {
            if (Interlocked.Exchange(ref _spare[i], null) is { } spare)
                return spare;
        }
        return new ReadScratch();
    }

    /// <summary>Takes one back; what has grown large, or is one too many, goes.</summary>
    public void Return(ReadScratch scratch)
    {
        scratch.Chunks.Dispose();
        scratch.Edges.Forget();
        if (!scratch.Gather.TryForget() || !scratch.Chunks.TryForget() || scratch.Edges.Capacity > MaxEdges)
            return;
        for (int i = 0; i < _spare.Length; i++)
        {
            if (Interlocked.CompareExchange(ref _spare[i], scratch, null) is null)
                return;
        }
    }
}
