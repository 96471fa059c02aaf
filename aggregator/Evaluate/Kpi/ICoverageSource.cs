using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Kpi;

/// <summary>How complete the data of series is: the host answers from what ingest knows. Thread-safe.</summary>
public interface ICoverageSource
{
    /// <summary>Scrapes received and due of the sources that bring these series.</summary>
    /// <param name="series">The series.</param>
    /// <param name="fromMs">The begin, Unix ms.</param>
    /// <param name="toMs">The end, Unix ms.</param>
    /// <param name="cancellation">Ends it early.</param>
    Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation);
}

/// <summary>Scrapes received of those that were due; of series that no agent brings, samples.</summary>
/// <param name="Received">Received.</param>
/// <param name="Due">Due; 0: no source is known, so that nothing can be told.</param>
/// <param name="Sources">How many sources there are.</param>
public readonly record struct Coverage(long Received, long Due, int Sources)
{
    /// <summary>Whether nothing is owed any more: every source has come past the end of the range, and what is missing in it was never collected, dropped or lost.</summary>
    public bool IsSettled { get; init; }

    /// <summary>Whether a source cannot be counted over so long a range: received and due are 0, and only whether it owes something is known.</summary>
    public bool IsUncounted { get; init; }

    /// <summary>The share that is here, or null when nothing can be told.</summary>
    public double? Share => Due > 0 ? Math.Min(1, (double)Received / Due) : null;

    /// <summary>Both together: not counted when one of them is not, for the share of a part is not that of the whole.</summary>
    public static Coverage operator +(Coverage a, Coverage b)
    {
        if (a.Sources == 0 || b.Sources == 0)
            return a.Sources == 0 ? b : a;
        bool isUncounted = a.IsUncounted || b.IsUncounted;
        return new Coverage(isUncounted ? 0 : a.Received + b.Received, isUncounted ? 0 : a.Due + b.Due, a.Sources + b.Sources) { IsSettled = a.IsSettled && b.IsSettled, IsUncounted = isUncounted };
    }
}
