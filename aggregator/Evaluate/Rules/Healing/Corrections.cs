using Bellwether.Core.Model;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>A result that was corrected after it was told.</summary>
/// <param name="Series">The series, without the revision's label.</param>
/// <param name="TimeMs">The result's time, Unix ms.</param>
/// <param name="Values">What was told, the first value first, the one that counts last; null: no result.</param>
/// <param name="Heals">Numbers of the entries of <see cref="HealBook"/> that changed it, the oldest first.</param>
public sealed record Correction(Labels Series, long TimeMs, IReadOnlyList<double?> Values, IReadOnlyList<ulong> Heals);

/// <summary>Finds the corrected results of a metric in what is stored. Thread-safe.</summary>
public static class Corrections
{
    /// <summary>Corrections told at most.</summary>
    public const int Max = 1_000;

    /// <summary>Corrected results in a range, the newest <paramref name="limit"/> of them, in order of time.</summary>
    /// <param name="reader">Shows revisions when asked by name (<see cref="RevisionReader"/>).</param>
    /// <param name="matchers">Select the series.</param>
    /// <param name="fromMs">The range's begin, Unix ms.</param>
    /// <param name="toMs">Its end.</param>
    /// <param name="heals">The reasons; null: none are known.</param>
    /// <param name="limit">How many.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static (IReadOnlyList<Correction> Newest, int All) Read(ISeriesReader reader, IReadOnlyList<LabelMatcher> matchers, long fromMs, long toMs, HealBook? heals, int limit, CancellationToken cancellation)
    {
        var levels = new Dictionary<Labels, SortedDictionary<int, Dictionary<long, double?>>>();
        var samples = new SampleBuffer();
        // Without a revision there is nothing to tell, and the first values need not be read.
        using (ISeriesSet revised = reader.Select(fromMs, toMs, [.. matchers, new LabelMatcher(MatchType.NotEqual, Revision.Label, "")], cancellation))
        {
            if (revised.Count == 0)
                return ([], 0);
        }
        using (ISeriesSet set = reader.Select(fromMs, toMs, [.. matchers, new LabelMatcher(MatchType.Regex, Revision.Label, ".*")], cancellation))
        {
            for (int i = 0; i < set.Count; i++)
            {
                Labels labels = set.LabelsAt(i), series = labels.Without(Revision.Label);
                if (!levels.TryGetValue(series, out SortedDictionary<int, Dictionary<long, double?>>? of))
                    levels.Add(series, of = []);
                set.Read(i, samples);
                var values = new Dictionary<long, double?>(samples.Count);
                for (int s = 0; s < samples.Count; s++)
                    values[samples.Times[s]] = SpecialValues.IsStale(samples.Values[s]) || Revision.IsRemoved(samples.Values[s]) ? null : samples.Values[s];
                of[Revision.Of(labels)] = values;
            }
        }
        var found = new List<(Labels Series, long TimeMs, List<double?> Values)>();
        foreach ((Labels series, SortedDictionary<int, Dictionary<long, double?>> of) in levels.Where(l => l.Value.Keys.Max() > 0))
        {
            foreach (long time in of.Where(l => l.Key > 0).SelectMany(l => l.Value.Keys).Distinct())
            {
                var told = new List<double?> { of.TryGetValue(0, out Dictionary<long, double?>? first) ? first.GetValueOrDefault(time) : null };
                told.AddRange(of.Where(l => l.Key > 0 && l.Value.ContainsKey(time)).Select(l => l.Value[time]));
                found.Add((series, time, told));
            }
        }
        found.Sort(static (a, b) => a.TimeMs != b.TimeMs ? a.TimeMs.CompareTo(b.TimeMs) : a.Series.CompareTo(b.Series));
        return ([.. found.Skip(Math.Max(0, found.Count - limit)).Select(f => new Correction(f.Series, f.TimeMs, f.Values, heals?.Of(f.Series.MetricName, f.Series, f.TimeMs) ?? []))], found.Count);
    }
}
