using System.Globalization;

namespace Bellwether.Evaluate.Slo.Compiling;

/// <summary>What the makers of one objective's rules share: names, labels, windows, numbers.</summary>
internal sealed class SloFrame
{
    /// <summary>Labels that tell an objective's series from others; sums over the rest leave these out.</summary>
    public static readonly string[] OwnLabels = ["slo_id", "slo_name", "slo_service", "slo_window"];

    private readonly IReadOnlyDictionary<string, string> _extra;

    public SloFrame(SloDefinition slo, SloWindow window, IReadOnlyList<TimeSpan> windows, IReadOnlyList<CalendarPeriod> periods, IReadOnlyDictionary<string, string> extra)
    {
        Slo = slo;
        Window = window;
        Windows = windows;
        Periods = periods;
        _extra = extra;
    }

    public SloDefinition Slo { get; }

    public SloWindow Window { get; }

    /// <summary>Rolling windows shorter than the period, shortest first.</summary>
    public IReadOnlyList<TimeSpan> Windows { get; }

    /// <summary>The calendar periods that get rules; empty when the period is rolling.</summary>
    public IReadOnlyList<CalendarPeriod> Periods { get; }

    /// <summary>Whether something is summed from slices or tiles.</summary>
    public bool NeedsMinutes { get; set; }

    /// <summary>The objective whose planned work counts: of a composite's members, the composite.</summary>
    public string PlannedId { get => field ?? Slo.Id; init; }

    /// <summary>The share of bad that is allowed.</summary>
    public decimal Budget => (100 - Slo.ObjectivePercent) / 100;

    /// <summary>The period as series name it.</summary>
    public string PeriodName => Window.Calendar?.Shorthand ?? BurnWindows.Text(Window.Length);

    /// <summary>The objective's own series of a metric.</summary>
    public string Series(string metric, string period = "") => $"{metric}{{slo_id=\"{Quoted(Slo.Id)}\"{(period.Length > 0 ? $", slo_period=\"{period}\"" : "")}}}";

    /// <summary>A text between PromQL's quotes: names of OpenSLO may have backslashes.</summary>
    public static string Quoted(string text) => text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);

    /// <summary>The same with only the labels that the queries gave.</summary>
    public string Bare(string metric) => $"sum without ({string.Join(", ", OwnLabels.Concat(Slo.Labels.Keys).Concat(_extra.Keys).Distinct().Order(StringComparer.Ordinal))}) ({Series(metric)})";

    /// <summary>Labels of a recorded series.</summary>
    public IReadOnlyDictionary<string, string> Labels(string window = "", string period = "")
    {
        var own = new Dictionary<string, string> { ["slo_id"] = Slo.Id, ["slo_service"] = Slo.Service, ["slo_name"] = Slo.Name };
        if (window.Length > 0)
            own["slo_window"] = window;
        if (period.Length > 0)
            own["slo_period"] = period;
        return SloLabels.Merge(Slo.Labels, _extra, own);
    }

    /// <summary>This frame for a member of a composite: its series have the member's name.</summary>
    public SloFrame ForMember(SloMember member) =>
        new(Slo with { Name = $"{Slo.Name}-{member.Name}", Indicator = member.Indicator, ObjectivePercent = member.ObjectivePercent, SliceTarget = member.SliceTarget, SliceOperator = member.SliceOperator, Members = [] }, Window, Windows, Periods, _extra) { PlannedId = PlannedId };

    /// <summary>What holds only inside a calendar period.</summary>
    public static string Within(CalendarPeriod period) => $"on() (vector(time()) > {Seconds(period.StartMs)} <= {Seconds(period.EndMs)})";

    public static string Seconds(long ms) => (ms / 1000m).ToString(CultureInfo.InvariantCulture);

    public static string Number(decimal value) => (value / 1.0000000000000000000000000000m).ToString(CultureInfo.InvariantCulture);

    public static string Number(double value) => BurnWindows.Number(value);
}
