namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// Which rules late data in a range makes dirty, over which times, and in which order they are evaluated again. The order is that of on-time evaluation: by time, then group, then rule.
/// A rule that reads only what rules before it write is evaluated over many times at once; those that read their own or a later rule's past go time by time, together with what lies between.
/// </summary>
internal sealed class HealPlan
{
    private readonly UnitIndex _units;

    private HealPlan(UnitIndex units, List<(int First, int Last, bool IsStepwise)> runs, List<int>[] reads)
    {
        _units = units;
        Levels = LevelsOf(runs, reads);
    }

    /// <summary>The rules in order.</summary>
    public UnitIndex Units => _units;

    /// <summary>Stretches of the order, a stepwise one to be done time by time. What is in one level reads nothing of each other and may be done side by side; each level comes after the one before.</summary>
    public IReadOnlyList<IReadOnlyList<(int First, int Last, bool IsStepwise)>> Levels { get; }

    /// <summary>Makes a plan.</summary>
    /// <param name="index">Rules in order.</param>
    /// <param name="request">The range, and what came late in it, or which rules are asked for.</param>
    /// <param name="bounds">Per rule the first and last time that may be evaluated again.</param>
    public static HealPlan Make(UnitIndex index, HealRequest request, Func<HealUnit, (long FromMs, long ToMs)> bounds)
    {
        (long fromMs, long toMs) = (request.FromMs, request.ToMs);
        IReadOnlyList<HealUnit> units = index.All;
        foreach (HealUnit unit in units.Where(u => u.IsAsked))
        {
            (long least, long most) = bounds(unit);
            unit.FromMs = Math.Max(Up(fromMs, unit), Up(least, unit));
            unit.ToMs = Math.Min(toMs, most);
            if (unit.FromMs > unit.ToMs)
                (unit.FromMs, unit.ToMs) = (long.MaxValue, long.MinValue);
        }
        List<int>[] reads = [.. units.Select(u => ReadsOf(u, index))];
        List<(int First, int Last, bool IsStepwise)> runs = RunsOf(reads, units);
        bool[] stepwise = new bool[units.Count];
        foreach ((int first, int last, bool isStepwise) in runs)
            Array.Fill(stepwise, isStepwise, first, last - first + 1);
        for (bool isChanged = true; isChanged;)
        {
            isChanged = false;
            for (int i = 0; i < units.Count; i++)
            {
                HealUnit unit = units[i];
                (long from, long to) = (unit.FromMs, unit.ToMs);
                foreach (Reading reading in unit.Reach.Readings)
                {
                    // A name that a rule writes is taken for nobody else's.
                    if (request.Rules is null && (reading.Name is not { } name || !index.Writes(name)) && IsTouched(reading, request.Metrics))
                        Extend(ref from, ref to, fromMs, toMs, reading);
                    foreach (int j in reads[i])
                    {
                        if (units[j].IsDirty && reading.MaySelect(units[j].Rule.Name, units[j].Fixed))
                            Extend(ref from, ref to, units[j].FromMs, stepwise[i] && stepwise[j] ? RuleReach.Unbounded : units[j].ToMs, reading);
                    }
                }
                if (from > to)
                    continue;
                (long least, long most) = bounds(unit);
                // One more: the result there may end a series, or not end it any more.
                from = Math.Max(Up(from, unit), Up(least, unit));
                to = Math.Min(to >= RuleReach.Unbounded ? most : Up(to, unit) + unit.IntervalMs, most);
                if (from > to || (from >= unit.FromMs && to <= unit.ToMs))
                    continue;
                unit.FromMs = Math.Min(unit.FromMs, from);
                unit.ToMs = Math.Max(unit.ToMs, to);
                isChanged = true;
            }
        }
        return new HealPlan(index, runs, reads);
    }

    // A run reads only what runs before it write, or what it writes itself.
    private static List<List<(int First, int Last, bool IsStepwise)>> LevelsOf(List<(int First, int Last, bool IsStepwise)> runs, List<int>[] reads)
    {
        int[] levelOf = new int[reads.Length];
        var levels = new List<List<(int First, int Last, bool IsStepwise)>>();
        foreach ((int First, int Last, bool IsStepwise) run in runs)
        {
            int level = 0;
            for (int i = run.First; i <= run.Last; i++)
            {
                foreach (int j in reads[i])
                    level = j < run.First ? Math.Max(level, levelOf[j] + 1) : level;
            }
            Array.Fill(levelOf, level, run.First, run.Last - run.First + 1);
            while (levels.Count <= level)
                levels.Add([]);
            levels[level].Add(run);
        }
        return levels;
    }

    private static bool IsTouched(Reading reading, IReadOnlyCollection<string>? metrics) => metrics is null || metrics.Any(m => reading.MaySelect(m, []));

    private static void Extend(ref long from, ref long to, long dirtyFromMs, long dirtyToMs, Reading reading)
    {
        from = Math.Min(from, dirtyFromMs - Math.Min(reading.AheadMs, RuleReach.Unbounded));
        to = Math.Max(to, dirtyToMs >= RuleReach.Unbounded ? RuleReach.Unbounded : dirtyToMs + reading.BackMs);
    }

    // The first time on the rule's grid at or after a time.
    private static long Up(long timeMs, HealUnit unit)
    {
        long step = timeMs + unit.OffsetMs;
        long rest = ((step % unit.IntervalMs) + unit.IntervalMs) % unit.IntervalMs;
        return (rest == 0 ? step : step + unit.IntervalMs - rest) - unit.OffsetMs;
    }

    private static List<int> ReadsOf(HealUnit unit, UnitIndex index)
    {
        var reads = new SortedSet<int>();
        foreach (Reading reading in unit.Reach.Readings)
        {
            foreach (HealUnit other in index.Find(reading.Matchers))
            {
                if (reading.MaySelect(other.Rule.Name, other.Fixed))
                    reads.Add(other.Index);
            }
        }
        return [.. reads];
    }

    private static List<(int First, int Last, bool IsStepwise)> RunsOf(List<int>[] reads, IReadOnlyList<HealUnit> units)
    {
        // Of a later rule, and of one that records further back than this one reads, only what was written before the step may be seen.
        var spans = new List<(int First, int Last)>();
        for (int i = 0; i < reads.Length; i++)
        {
            foreach (int j in reads[i])
            {
                if (j >= i || units[j].OffsetMs > units[i].OffsetMs)
                    spans.Add((Math.Min(i, j), Math.Max(i, j)));
            }
        }
        spans.Sort();
        var runs = new List<(int First, int Last, bool IsStepwise)>();
        int at = 0;
        foreach ((int first, int last) in spans)
        {
            if (first < at && runs.Count > 0)
            {
                runs[^1] = runs[^1] with { Last = Math.Max(runs[^1].Last, last) };
            }
            else
            {
                for (; at < first; at++)
                    runs.Add((at, at, false));
                runs.Add((first, last, true));
            }
            at = runs[^1].Last + 1;
        }
        for (; at < reads.Length; at++)
            runs.Add((at, at, false));
        return runs;
    }
}
