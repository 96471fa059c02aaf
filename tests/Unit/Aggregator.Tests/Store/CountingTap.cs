using Bellwether.Core.Model;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Counts what it is told.</summary>
internal sealed class CountingTap(ulong heldTo = 0) : ISampleTap
{
    public int Samples { get; private set; }

    public ulong Position { get; private set; }

    public ulong HeldTo => heldTo;

    public bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
    {
        (Position, Samples) = (position, Samples + samples.Length);
        return true;
    }
}
