using Bellwether.Store.Blocks;
using Bellwether.Store.Head;

namespace Bellwether.Store.Reading;

/// <summary>What reading the series of a selection needs beside the result. One thread at a time.</summary>
internal sealed class ReadScratch
{
    private const int MaxEdges = 1 << 16;
    private readonly SampleGather _joint = new();
    private ChunkPlace[]? _jointParts;

    public SampleGather Gather { get; } = new();

    public ChunkScratch Chunks { get; } = new();

    public EdgeColumns Edges { get; } = new();

    /// <summary>What chunks that overlap or share a slot hold together, good until the next call. Null: a chunk cannot be read, or has more than plain floats.</summary>
    public SampleGather? TryReadJoint(ChunkPlace[] parts, BlockSet blocks)
    {
        // Each edge of a window within a slot asks for it again.
        if (ReferenceEquals(parts, _jointParts))
            return _joint;
        _jointParts = null;
        _joint.Begin();
        foreach (ref readonly ChunkPlace part in parts.AsSpan())
        {
            if (blocks.TryIndex(part.File) is not { } index || !part.File.TryRead(index[part.Series], long.MinValue, long.MaxValue, Chunks, _joint))
                return null;
        }
        if (_joint.HasHistograms || _joint.HasStarts)
            return null;
        _joint.Resolve();
        _jointParts = parts;
        return _joint;
    }

    /// <summary>Forgets what one selection left. False: it has grown too large to be kept.</summary>
    public bool TryForget()
    {
        Chunks.Dispose();
        Edges.Forget();
        _jointParts = null;
        return Gather.TryForget() && _joint.TryForget() && Chunks.TryForget() && Edges.Capacity <= MaxEdges;
    }
}

/// <summary>Hands the same few scratches out again: thousands of rules each read a handful of samples, and would throw more memory away than they read. Thread-safe.</summary>
internal sealed class ReadScratches
{
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
        if (!scratch.TryForget())
            return;
        for (int i = 0; i < _spare.Length; i++)
        {
            if (Interlocked.CompareExchange(ref _spare[i], scratch, null) is null)
                return;
        }
    }
}
