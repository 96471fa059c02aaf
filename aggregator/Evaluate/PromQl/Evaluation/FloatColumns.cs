using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>Range functions of floats that move over a column in one pass.</summary>
internal enum WindowKind
{
    Rate,
    Increase,
    Delta,
    Count,
    Present,
    Last,
    First,
    TimeOfLast,
    TimeOfFirst,
    Sum,
    Average,
    Max,
    Min,
    Changes,
    Resets,
    Quantile,
}

/// <summary>The floats of one series within the range of a query: samples, and slots that are known by their summaries only. Times ascend; stale markers are out.</summary>
internal readonly ref struct FloatColumns
{
    public required ReadOnlySpan<long> Times { get; init; }

    public required ReadOnlySpan<double> Values { get; init; }

    public required ReadOnlySpan<SlotSummary> Summaries { get; init; }

    /// <summary>Samples below the one before them, at most.</summary>
    public long Resets()
    {
        long resets = 0;
        double previous = double.NaN;
        int sample = 0;
        foreach (ref readonly SlotSummary summary in Summaries)
        {
            for (; sample < Times.Length && Times[sample] < summary.FirstMs; previous = Values[sample++])
                resets += Values[sample] < previous ? 1 : 0;
            resets += summary.Resets + (summary.First < previous ? 1 : 0);
            previous = summary.Last;
        }
        for (; sample < Times.Length; previous = Values[sample++])
            resets += Values[sample] < previous ? 1 : 0;
        return resets;
    }

    public long Count
    {
        get
        {
            long count = Times.Length;
            foreach (ref readonly SlotSummary summary in Summaries)
                count += summary.Count;
            return count;
        }
    }
}
