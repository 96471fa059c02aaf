using Bellwether.Core.Model;
using Bellwether.Store;
using Names = Bellwether.Core.Model.LabelNames;

namespace Bellwether.Ingest.Completeness;

/// <summary>
/// A reader that adds what nobody sent: while an agent is silent or stopped, <c>up</c> of its targets as 0, and age and coverage of its sources. Nothing of it is stored: it is made when
/// it is read, where ticks are missing, marked by the label <see cref="Mark"/>; when the real ticks come after all it is not there any more (docs/ARCHITECTURE.md, idea 5). So it is a matter of processing
/// time: what a rule computed of it before stays. Thread-safe.
/// </summary>
public sealed class SynthesisedReader : ISeriesReader, IChangeLog
{
    /// <summary>The label on all that is synthesised: <c>silent</c> or <c>planned_stop</c>.</summary>
    public const string Mark = "bellwether_synthesised";

    /// <summary>Seconds since a source's last tick.</summary>
    public const string Age = "bellwether_source_age_seconds";

    /// <summary>Ticks received ÷ ticks due in the five minutes before.</summary>
    public const string Coverage = "bellwether_source_coverage_ratio";

    /// <summary>Samples of one synthesised series in a gap, beyond which they stand a minute apart.</summary>
    public const int DenseSamples = 20_000;

    private const string Up = "up";
    private const long SparseMs = 60_000;
    private const long CoverageWindowMs = 300_000;
    private static readonly MetricMetadata s_ageMetadata = new(MetricType.Gauge, "Seconds since the source's last tick; synthesised while its agent is silent.", "seconds");
    private static readonly MetricMetadata s_coverageMetadata = new(MetricType.Gauge, "Ticks received over ticks due in the five minutes before; synthesised while the agent is silent.", "ratio");
    private readonly ISeriesReader _inner;
    private readonly FleetBook _book;
    private readonly ILedgerSource _ledger;
    private readonly TimeProvider _time;

    /// <summary>Makes a reader over the store's own.</summary>
    public SynthesisedReader(ISeriesReader inner, FleetBook book, ILedgerSource ledger, TimeProvider time)
    {
        _inner = inner;
        _book = book;
        _ledger = ledger;
        _time = time;
    }

    /// <inheritdoc/>
    public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        ISeriesSet stored = _inner.Select(fromMs, toMs, matchers, cancellation);
        List<Synthesised> made = Make(fromMs, toMs, matchers, cancellation);
        return made.Count == 0 ? stored : new MergedSet(stored, made, fromMs, toMs);
    }

    /// <inheritdoc/>
    public long TakeMark() => (_inner as IChangeLog)?.TakeMark() ?? 0;

    /// <inheritdoc/>
    public long OldestChangeSince(long mark) => (_inner as IChangeLog)?.OldestChangeSince(mark) ?? long.MinValue;

    /// <inheritdoc/>
    public bool Covers(IReadOnlyList<LabelMatcher> matchers) => !MayMatch(matchers) && (_inner as IChangeLog)?.Covers(matchers) == true;

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Union(_inner.LabelNames(fromMs, toMs, matchers, cancellation), Make(fromMs, toMs, matchers, cancellation).SelectMany(s => s.Labels.AsSpan().ToArray().Select(l => l.Name)));

    /// <inheritdoc/>
    public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) =>
        Union(_inner.LabelValues(name, fromMs, toMs, matchers, cancellation), Make(fromMs, toMs, matchers, cancellation).Select(s => s.Labels.Get(name)).Where(v => v.Length > 0));

    /// <inheritdoc/>
    public MetricMetadata? Metadata(string family) => _inner.Metadata(family) ?? family switch
    {
        Age => s_ageMetadata,
        Coverage => s_coverageMetadata,
        _ => null,
    };

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => _inner.AllMetadata();

    private static IReadOnlyList<string> Union(IReadOnlyList<string> stored, IEnumerable<string> made)
    {
        var all = new SortedSet<string>(stored, StringComparer.Ordinal);
        int count = all.Count;
        all.UnionWith(made);
        return all.Count == count ? stored : [.. all];
    }

    private static bool MayMatch(IReadOnlyList<LabelMatcher> matchers)
    {
        foreach (LabelMatcher m in matchers)
        {
            if (m.Name == Names.MetricName && !m.Matches(Up) && !m.Matches(Age) && !m.Matches(Coverage))
                return false;
        }
        return true;
    }

    private List<Synthesised> Make(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
    {
        var made = new List<Synthesised>();
        if (!MayMatch(matchers))
            return made;
        long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        foreach (AgentFacts agent in _book.Agents())
        {
            cancellation.ThrowIfCancellationRequested();
            if (agent.Presence is AgentPresence.Silent or AgentPresence.Stopped || agent.Absences.Any(a => a.FromMs <= toMs && a.ToMs >= fromMs))
                MakeOf(CompletenessView.Of(agent, _ledger.Ledgers(agent.Id) is [var newest, ..] ? newest : null, fromMs, toMs, now), matchers, made);
        }
        made.Sort(static (a, b) => a.Labels.CompareTo(b.Labels));
        return made;
    }

    private static void MakeOf(AgentCompleteness agent, IReadOnlyList<LabelMatcher> matchers, List<Synthesised> made)
    {
        foreach (SourceCompleteness source in agent.Sources)
        {
            foreach (IGrouping<string?, SourceGap> gaps in source.Gaps.GroupBy(MarkOf).Where(g => g.Key is not null))
            {
                List<SourceGap> all = [.. gaps];
                if (agent.Facts.Targets.TryGetValue(source.Stored.Name, out IReadOnlyDictionary<string, string>? labels))
                    Add(labels, Up, static (_, _) => 0);
                var own = new Dictionary<string, string> { ["agent"] = agent.Facts.Id, ["source"] = source.Stored.Name };
                Add(own, Age, static (s, t) => (t - LastBefore(s, t)) / 1000.0);
                Add(own, Coverage, CoverageAt);

                void Add(IReadOnlyDictionary<string, string> labels, string name, Func<StoredSource, long, double> value)
                {
                    var builder = new LabelsBuilder(Labels.Empty);
                    foreach ((string key, string text) in labels.Where(l => l.Value.Length > 0))
                        builder.Set(key, text);
                    Labels series = builder.Set(Names.MetricName, name).Set(Mark, gaps.Key!).Build();
                    if (matchers.All(m => m.Matches(series)))
                        made.Add(new Synthesised(series, source.Stored, all, value));
                }
            }
        }
    }

    private static string? MarkOf(SourceGap gap) => gap.Reason switch
    {
        MissingReasons.Awaited or MissingReasons.AgentDown => "silent",
        MissingReasons.PlannedStop => "planned_stop",
        _ => null,
    };

    private static long LastBefore(StoredSource source, long timeMs)
    {
        for (int i = source.Ranges.Count - 1; i >= 0; i--)
        {
            if (source.Ranges[i].FirstMs <= timeMs)
                return Math.Min(source.Ranges[i].LastMs, timeMs);
        }
        return timeMs;
    }

    private static double CoverageAt(StoredSource source, long timeMs)
    {
        long due = Math.Max(1, CoverageWindowMs / Math.Max(1, source.IntervalMs));
        double received = 0;
        foreach (TickRange range in source.Ranges)
        {
            long first = Math.Max(range.FirstMs, timeMs - CoverageWindowMs), last = Math.Min(range.LastMs, timeMs);
            if (last >= first && range.Due > 0)
                received += (double)range.Ticks / range.Due * (((last - first) / Math.Max(1, source.IntervalMs)) + 1);
        }
        return Math.Min(1, received / due);
    }

    private sealed record Synthesised(Labels Labels, StoredSource Source, IReadOnlyList<SourceGap> Gaps, Func<StoredSource, long, double> Value)
    {
        public void Read(SampleBuffer into, long fromMs, long toMs)
        {
            into.Clear();
            long last = long.MinValue;
            foreach (SourceGap gap in Gaps)
            {
                long step = gap.Due > DenseSamples ? Math.Max(SparseMs, Source.IntervalMs) : Source.IntervalMs;
                for (long time = gap.FromMs + Source.IntervalMs; time <= toMs && time <= gap.FromMs + (gap.Due * Source.IntervalMs); time += step)
                {
                    if (time < fromMs || time <= last)
                        continue;
                    into.Add(time, Value(Source, time));
                    last = time;
                }
                // What is real again ends what was made up.
                bool isOver = Source.Ranges.Any(r => r.FirstMs <= gap.ToMs && r.LastMs >= gap.ToMs);
                if (isOver && gap.ToMs > last && gap.ToMs <= toMs && gap.ToMs >= fromMs)
                {
                    into.Add(gap.ToMs, SpecialValues.StaleMarker);
                    last = gap.ToMs;
                }
            }
        }
    }

    private sealed class MergedSet : ICoarseSeriesSet
    {
        private readonly ISeriesSet _stored;
        private readonly List<(int Stored, Synthesised? Made)> _series;
        private readonly long _fromMs;
        private readonly long _toMs;

        public MergedSet(ISeriesSet stored, List<Synthesised> made, long fromMs, long toMs)
        {
            _stored = stored;
            _fromMs = fromMs;
            _toMs = toMs;
            _series = new List<(int, Synthesised?)>(stored.Count + made.Count);
            int next = 0;
            for (int i = 0; i < stored.Count; i++)
            {
                Labels labels = stored.LabelsAt(i);
                while (next < made.Count && made[next].Labels.CompareTo(labels) < 0)
                    _series.Add((-1, made[next++]));
                // A stored series of the same labels (somebody else's, by remote write) stands.
                if (next < made.Count && made[next].Labels.Equals(labels))
                    next++;
                _series.Add((i, null));
            }
            for (; next < made.Count; next++)
                _series.Add((-1, made[next]));
        }

        public int Count => _series.Count;

        public long ResolutionMs => CoarseSets.ResolutionOf(_stored);

        public Labels LabelsAt(int index) => _series[index].Made is { } made ? made.Labels : _stored.LabelsAt(_series[index].Stored);

        public void Read(int index, SampleBuffer into)
        {
            if (_series[index].Made is { } made)
                made.Read(into, _fromMs, _toMs);
            else
                _stored.Read(_series[index].Stored, into);
        }

        public void Read(int index, SampleBuffer samples, List<CoarseSlot> slots)
        {
            slots.Clear();
            if (_series[index].Made is { } made)
                made.Read(samples, _fromMs, _toMs);
            else
                CoarseSets.Read(_stored, _series[index].Stored, samples, slots);
        }

        public void Dispose() => _stored.Dispose();
    }
}
