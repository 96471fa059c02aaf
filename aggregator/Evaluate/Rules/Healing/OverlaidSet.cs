using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>A selection with samples of another origin laid over what is stored. Owns the stored one. Not thread-safe.</summary>
/// <param name="stored">What is stored.</param>
internal abstract class OverlaidSet(ISeriesSet stored) : ICoarseSeriesSet
{
    /// <inheritdoc/>
    public abstract int Count { get; }

    /// <inheritdoc/>
    public long ResolutionMs => CoarseSets.ResolutionOf(stored);

    /// <summary>What is stored.</summary>
    protected ISeriesSet Stored => stored;

    /// <inheritdoc/>
    public abstract Labels LabelsAt(int index);

    /// <inheritdoc/>
    public void Read(int index, SampleBuffer into)
    {
        into.Clear();
        if (StoredAt(index) is >= 0 and var at)
            stored.Read(at, into);
        Lay(index, into);
    }

    /// <summary>Only samples are laid over: what is in slots stays as it is.</summary>
    public void Read(int index, SampleBuffer samples, List<CoarseSlot> slots)
    {
        samples.Clear();
        slots.Clear();
        if (StoredAt(index) is >= 0 and var at)
            CoarseSets.Read(stored, at, samples, slots);
        Lay(index, samples);
    }

    /// <inheritdoc/>
    public void Dispose() => stored.Dispose();

    /// <summary>Where the series stands in what is stored; below zero: nowhere.</summary>
    protected abstract int StoredAt(int index);

    /// <summary>Changes what was read of a series.</summary>
    protected abstract void Lay(int index, SampleBuffer into);
}
