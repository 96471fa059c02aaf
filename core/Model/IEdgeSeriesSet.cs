namespace Bellwether.Core.Model;

/// <summary>A selection that can read only what lies at the edges of windows. Not thread-safe.</summary>
public interface IEdgeSeriesSet : ISeriesSet
{
    /// <summary>
    /// Replaces the content of both lists by some samples of the series at an index, in time order: of every window (t - range, t] of the cuts the first and the last at least. False: more is
    /// needed, and nothing is said; so where the series may hold histograms, start times, NaN, or a value below the one before it in what is left out.
    /// </summary>
    /// <param name="index">The series.</param>
    /// <param name="cuts">The windows.</param>
    /// <param name="samples">Floats, no stale markers among them.</param>
    /// <param name="ordinals">Of each sample its number among all samples of the series, stale markers not counted, from any start.</param>
    bool TryReadEdges(int index, in WindowCuts cuts, SampleBuffer samples, List<long> ordinals);
}
