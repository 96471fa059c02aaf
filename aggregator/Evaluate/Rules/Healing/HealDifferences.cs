using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>What storing a sample does to what is shown.</summary>
internal enum HealDifference : byte
{
    Added,
    Replaced,
    Removed,
}

/// <summary>What is to be stored of one rule, and what each sample of it does. Not thread-safe.</summary>
internal sealed class HealDifferences(HealUnit unit)
{
    public HealUnit Unit => unit;

    public List<SeriesSample> Samples { get; } = [];

    public List<HealDifference> Whats { get; } = [];

    /// <summary>Adds what of a series is to be stored so that it shows what was computed. What is stored before a time stays.</summary>
    public void Compare(Labels labels, (SampleBuffer Stored, SampleBuffer Computed) samples, int revision, long keepBeforeMs)
    {
        (SampleBuffer stored, SampleBuffer computed) = samples;
        Labels? corrected = null;
        int s = 0, c = 0;
        while (s < stored.Count || c < computed.Count)
        {
            long time = Math.Min(s < stored.Count ? stored.Times[s] : long.MaxValue, c < computed.Count ? computed.Times[c] : long.MaxValue);
            bool isStored = s < stored.Count && stored.Times[s] == time, isComputed = c < computed.Count && computed.Times[c] == time;
            if (isStored && time < keepBeforeMs)
            {
                // Sealed: what was told stays.
            }
            else if (isStored && isComputed)
            {
                if (!Same(stored, s, computed, c))
                    Add(HealDifference.Replaced, SampleAt(corrected ??= Revision.Make(labels, revision + 1), computed, c));
            }
            else if (isComputed)
            {
                // Where a revision says "removed", only a newer one brings it back.
                Labels shown = revision == 0 ? labels : corrected ??= Revision.Make(labels, revision + 1);
                Add(HealDifference.Added, SampleAt(shown, computed, c));
            }
            else if (Unit.IsOnGrid(time) && !Unit.Failed.Contains(time))
            {
                Add(HealDifference.Removed, new SeriesSample(corrected ??= Revision.Make(labels, revision + 1), time, Revision.Removed));
            }
            s += isStored ? 1 : 0;
            c += isComputed ? 1 : 0;
        }
    }

    private static bool Same(SampleBuffer a, int i, SampleBuffer b, int j)
    {
        if (a.HistogramAt(i) is { } left)
            return b.HistogramAt(j) is { } right && left.SameAs(right);
        return b.HistogramAt(j) is null && BitConverter.DoubleToInt64Bits(a.Values[i]) == BitConverter.DoubleToInt64Bits(b.Values[j]);
    }

    private static SeriesSample SampleAt(Labels labels, SampleBuffer samples, int index) => new(labels, samples.Times[index], samples.Values[index], samples.HistogramAt(index));

    private void Add(HealDifference what, in SeriesSample sample)
    {
        Samples.Add(sample);
        Whats.Add(what);
    }
}
