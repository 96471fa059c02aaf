namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>
/// The rules for total, good and error ratio. Events over a rolling window are counted from the raw series for each window. What can't be (thresholds, time slices, ratios
/// that are there already, calendar periods) is counted per 5 minutes or per slice, and those counts are summed.
/// </summary>
internal sealed class IndicatorRules(SloFrame frame, SloIndicator indicator)
{
    private const string Total = "slo:sli_total:count", Good = "slo:sli_good:count", ErrorRatio = "slo:sli_error:ratio", SliceRatio = "slo:sli_slice:ratio";

    /// <summary>Events of the last five minutes when all of them lay in planned work; and the bad ones of these.</summary>
    private const string PlannedTotal = "slo:sli_planned_total:count", PlannedBad = "slo:sli_planned_bad:count";

    private BudgetingMethod Method => frame.Slo.Method;

    /// <summary>A ratio with a window, that has no counts.</summary>
    private bool IsWindowedRatio => Method == BudgetingMethod.Occurrences && indicator.Raw is { Kind: SloQueryKind.Windowed };

    private bool IsComposite => !indicator.Queries.Any();

    public void AddTo(List<SloRule> rules)
    {
        if (Method != BudgetingMethod.Occurrences)
        {
            frame.NeedsMinutes = true;
            if (!IsComposite)
                AddSliceTo(rules);
            AddCountsOfSlices(rules);
        }
        else if (IsWindowedRatio)
        {
            AddWindowedRatios(rules);
            return;
        }
        else if (indicator.Total is not null)
        {
            AddCountsOfEvents(rules);
        }
        else
        {
            frame.NeedsMinutes = true;
            AddCountsOfSamples(rules);
        }
        if (HasPlannedTiles)
            AddPlannedTiles(rules);
        foreach (string name in frame.Windows.Select(BurnWindows.Text).Append(frame.PeriodName))
        {
            // One rule does for all periods of a calendar: the counts carry the period.
            rules.Add(Rule(ErrorRatio + name, $"{Bad(name)} / ({Valid(name)} > 0)", name));
        }
    }

    /// <summary>The bad events of a window that count: without those of planned work.</summary>
    internal string Bad(string name, string period = "")
    {
        string bad = $"({frame.Series(Total + name, period)} - {frame.Series(Good + name, period)})";
        return HasPlannedTiles ? $"(clamp_min({bad} - ignoring (slo_window) {Planned(PlannedBad, name, period)}, 0) or ignoring (slo_window) {bad})" : bad;
    }

    private string Valid(string name)
    {
        string total = frame.Series(Total + name);
        return HasPlannedTiles ? $"({total} - ignoring (slo_window) {Planned(PlannedTotal, name)} or ignoring (slo_window) {total})" : total;
    }

    private string Planned(string metric, string name, string period = "") => name == TileName || (frame.Window.Calendar is not null && name == frame.PeriodName)
        ? frame.Series(metric + name, period)
        : $"sum_over_time({frame.Series(metric + TileName)}[{name}:{TileName}])";

    private static string TileName => BurnWindows.Text(CountStyle.Tile);

    /// <summary>Whether planned work is taken out by tiles. Long slices are left out themselves, and of ratios without counts nothing can be taken out.</summary>
    private bool HasPlannedTiles => !IsWindowedRatio && frame.Windows.Contains(CountStyle.Tile) && (Method == BudgetingMethod.Occurrences || IsOfTiles(frame.Slo.Slice));

    private static bool IsOfTiles(TimeSpan slice) => slice <= CountStyle.Tile && CountStyle.Tile.Ticks % slice.Ticks == 0;

    private void AddPlannedTiles(List<SloRule> rules)
    {
        string total = frame.Series(Total + TileName), covers = PlannedSeries.Covers(frame.PlannedId, CountStyle.Tile);
        rules.Add(Rule(PlannedTotal + TileName, $"{total} and {covers}", TileName));
        rules.Add(Rule(PlannedBad + TileName, $"({total} - {frame.Series(Good + TileName)}) and {covers}", TileName));
        foreach (CalendarPeriod period in frame.Periods)
        {
            foreach (string metric in new[] { PlannedTotal, PlannedBad })
                rules.Add(PeriodRule(metric, "sum_over_time", frame.Series(metric + TileName), period, CountStyle.Tile));
        }
    }

    /// <summary>The ratio of good in the slice that ends now; absent when nothing happened.</summary>
    public void AddSliceTo(List<SloRule> rules)
    {
        TimeSpan slice = frame.Slo.Slice;
        string expression;
        if (indicator.Raw is { Kind: SloQueryKind.Windowed } raw)
            expression = Success($"(({At(raw, slice)}) >= 0)");
        else if (indicator.Total is not null)
            expression = EventRatio(slice);
        else
            expression = $"{GoodSamples(slice)} / {AllSamples(slice)}";
        if (!IsOfTiles(slice))
            expression = $"({expression}) unless {PlannedSeries.Covers(frame.PlannedId, slice)}";
        rules.Add(Rule(SliceRatio, expression, ""));
    }

    private string EventRatio(TimeSpan window)
    {
        string total = Count(indicator.Total!, window);
        return indicator.Good is { } good
            ? $"(({Count(good, window)}) or 0 * ({total})) / (({total}) > 0)"
            : $"1 - (({Count(indicator.Bad!, window)}) or 0 * ({total})) / (({total}) > 0)";
    }

    /// <summary>Events, counted from the raw series for each window.</summary>
    private void AddCountsOfEvents(List<SloRule> rules)
    {
        foreach (TimeSpan window in RollingWindows())
            rules.Add(Rule(Total + BurnWindows.Text(window), Count(indicator.Total!, window), BurnWindows.Text(window)));
        foreach (TimeSpan window in RollingWindows())
        {
            string name = BurnWindows.Text(window), total = frame.Bare(Total + name);
            // No bad series while there is a total: nothing bad. No good series: nothing good.
            string good = indicator.Good is { } g
                ? $"({Count(g, window)})\nor\n0 * {total}"
                : $"{total}\n-\n(({Count(indicator.Bad!, window)}) or 0 * {total})";
            rules.Add(Rule(Good + name, good, name));
        }
        AddPeriodsOfTiles(rules);
    }

    /// <summary>Samples of a value per 5 minutes; longer windows are sums of those.</summary>
    private void AddCountsOfSamples(List<SloRule> rules)
    {
        string tile = BurnWindows.Text(CountStyle.Tile);
        rules.Add(Rule(Total + tile, AllSamples(CountStyle.Tile), tile));
        rules.Add(Rule(Good + tile, GoodSamples(CountStyle.Tile), tile));
        AddSumsOfTiles(rules);
    }

    private void AddCountsOfSlices(List<SloRule> rules)
    {
        TimeSpan slice = frame.Slo.Slice;
        bool tiles = IsOfTiles(slice);
        string series = frame.Series(SliceRatio), good = series;
        if (Method == BudgetingMethod.Timeslices)
            good = IsComposite ? series : $"({series} {frame.Slo.SliceOperator} bool {SloFrame.Number(frame.Slo.SliceTarget)})";
        foreach (TimeSpan window in tiles ? [CountStyle.Tile] : RollingWindows())
        {
            // A slice is the least that can be told: shorter windows are as long as one.
            string name = BurnWindows.Text(window), range = $"[{BurnWindows.Text(window < slice ? slice : window)}:{BurnWindows.Text(slice)}]";
            rules.Add(Rule(Total + name, $"count_over_time({series}{range})", name));
            rules.Add(Rule(Good + name, $"sum_over_time({good}{range})", name));
        }
        if (tiles)
            AddSumsOfTiles(rules);
        else
            AddPeriods(rules, $"({series})", $"({good})", slice);
    }

    private void AddSumsOfTiles(List<SloRule> rules)
    {
        foreach (TimeSpan window in RollingWindows().Where(w => w > CountStyle.Tile))
        {
            string name = BurnWindows.Text(window), range = $"[{name}:{BurnWindows.Text(CountStyle.Tile)}]";
            rules.Add(Rule(Total + name, $"sum_over_time({frame.Series(Total + "5m")}{range})", name));
            rules.Add(Rule(Good + name, $"sum_over_time({frame.Series(Good + "5m")}{range})", name));
        }
        AddPeriodsOfTiles(rules);
    }

    private void AddPeriodsOfTiles(List<SloRule> rules)
    {
        if (frame.Periods.Count > 0)
            frame.NeedsMinutes = true;
        foreach (CalendarPeriod period in frame.Periods)
        {
            foreach (string metric in new[] { Total, Good })
                rules.Add(PeriodRule(metric, "sum_over_time", frame.Series(metric + "5m"), period, CountStyle.Tile));
        }
    }

    private void AddPeriods(List<SloRule> rules, string total, string good, TimeSpan step)
    {
        foreach (CalendarPeriod period in frame.Periods)
        {
            rules.Add(PeriodRule(Total, "count_over_time", total, period, step));
            rules.Add(PeriodRule(Good, "sum_over_time", good, period, step));
        }
    }

    private SloRule PeriodRule(string metric, string function, string of, CalendarPeriod period, TimeSpan step)
    {
        string range = BurnWindows.Text(TimeSpan.FromMilliseconds(period.EndMs - period.StartMs));
        string sum = $"{function}((\n  {of}\n  and on() (vector(time()) > {SloFrame.Seconds(period.StartMs)})\n)[{range}:{BurnWindows.Text(step)}])";
        return new SloRule(metric + frame.PeriodName, $"{sum}\nand {SloFrame.Within(period)}") { Labels = frame.Labels(frame.PeriodName, period.Name) };
    }

    /// <summary>Ratios with a window are what they are: there are no counts. A comparison drops 0/0, so that no traffic is no number.</summary>
    private void AddWindowedRatios(List<SloRule> rules)
    {
        foreach (TimeSpan window in RollingWindows())
        {
            string ratio = At(indicator.Raw!, window);
            rules.Add(Rule(ErrorRatio + BurnWindows.Text(window), indicator.RawIsFailure ? $"({ratio}) >= 0" : $"1 - (({ratio}) >= 0)", BurnWindows.Text(window)));
        }
        foreach (CalendarPeriod period in frame.Periods)
        {
            frame.NeedsMinutes = true;
            rules.Add(PeriodRule(ErrorRatio, "avg_over_time", frame.Series(ErrorRatio + "5m"), period, CountStyle.Tile));
        }
    }

    /// <summary>The windows that are counted as they roll; the period among them unless it is a calendar's.</summary>
    private IEnumerable<TimeSpan> RollingWindows() => frame.Window.Calendar is null ? frame.Windows.Append(frame.Window.Length) : frame.Windows;

    private string Success(string ratio) => indicator.RawIsFailure ? $"1 - {ratio}" : ratio;

    private string AllSamples(TimeSpan window) => Summed($"count_over_time(({Samples})[{BurnWindows.Text(window)}:1m])");

    private string GoodSamples(TimeSpan window)
    {
        string good = indicator.Threshold is not null ? $"({Samples}) {indicator.Operator} bool {SloFrame.Number(indicator.Value)}" : Success($"({Samples})");
        return Summed($"sum_over_time(({good})[{BurnWindows.Text(window)}:1m])");
    }

    /// <summary>The value whose samples count. A quantile and the like with a window in it looks back one tile.</summary>
    private string Samples
    {
        get
        {
            SloQuery query = indicator.Threshold ?? indicator.Raw!;
            return query.Kind == SloQueryKind.Windowed ? At(query, CountStyle.Tile) : query.Text;
        }
    }

    /// <summary>Several series of one selector are one indicator; what was aggregated keeps its labels.</summary>
    private string Summed(string counted) => WindowedText.IsPlainSeries(Samples) ? $"sum({counted})" : counted;

    private static string Count(SloQuery query, TimeSpan window) => WindowedText.AsCount(At(query, window));

    private static string At(SloQuery query, TimeSpan window) => WindowedText.At(query, window).Text ?? query.Text;

    private SloRule Rule(string name, string expression, string window) => new(name, expression) { Labels = frame.Labels(window) };
}
