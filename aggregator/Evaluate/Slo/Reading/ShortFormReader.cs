using System.Globalization;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>
/// Bellwether's short form: a list <c>slos</c>, each an objective as people say it (<c>99.9% availability</c>, <c>95th percentile &lt; 500ms</c>) and the metrics behind it.
/// docs/slo.md describes it.
/// </summary>
internal static partial class ShortFormReader
{
    private static readonly string[] s_forms = ["latency", "value", "ratio", "total"];

    [GeneratedRegex(@"\A(?<p>[0-9]+(\.[0-9]+)?) ?%?( [a-z ]+)?\z", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex Share { get; }

    [GeneratedRegex(@"\A(p(?<p>[0-9]+(\.[0-9]+)?)|(?<p>[0-9]+(\.[0-9]+)?)(st|nd|rd|th) percentile) ?<=? ?(?<d>[0-9]+(\.[0-9]+)?) ?(?<u>ms|s|m|h)?( [a-z ]+)?\z", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex Percentile { get; }

    public static void Read(SloReading reading, List<SloDefinition> slos)
    {
        ConfigSection root = reading.Root;
        string service = root.Text("service");
        Dictionary<string, string> labels = SloReading.Texts(root, "labels", areLabels: true);
        foreach (ConfigSection slo in root.Sections("slos"))
            slos.Add(ReadSlo(reading, slo, service, labels));
        if (root.Find("slos") is { IsNull: true } or { Items.Count: 0, Kind: ConfigNodeKind.Sequence })
            root.Error("slos", "is empty; write at least one objective");
        root.Close();
    }

    private static SloDefinition ReadSlo(SloReading reading, ConfigSection slo, string service, Dictionary<string, string> shared)
    {
        string own = slo.Text("service", service);
        if (own.Length == 0)
            slo.Error("service", "is missing; write it here or at the top of the file");
        (decimal percent, double? below) = ReadObjective(slo);
        var labels = new Dictionary<string, string>(shared, StringComparer.Ordinal);
        foreach ((string key, string value) in SloReading.Texts(slo, "labels", areLabels: true))
            labels[key] = value;
        ConfigSection alerts = slo.Section("alerts");
        TimeSpan? slice = slo.Has("slice") ? slo.Duration("slice", TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(1), TimeSpan.FromDays(1)) : null;
        double? sliceTarget = slo.Has("slice_target") ? slo.Number("slice_target", 100, double.Epsilon, 100) / 100 : null;
        if (sliceTarget is not null && slice is null)
            slo.Error("slice", "is missing: with slice_target write the length of a time slice, for example 1m");
        var definition = new SloDefinition
        {
            Form = SloForm.Short,
            Place = SloReading.PlaceOf(slo),
            Document = reading.Document,
            Service = own,
            Name = slo.RequiredText("name"),
            Description = slo.Text("description"),
            ObjectivePercent = percent,
            Indicator = ReadIndicator(slo, below),
            Method = slice is null ? BudgetingMethod.Occurrences : sliceTarget is null ? BudgetingMethod.RatioTimeslices : BudgetingMethod.Timeslices,
            Slice = slice ?? TimeSpan.FromMinutes(1),
            SliceTarget = sliceTarget ?? 1,
            Window = ReadWindow(slo),
            Labels = labels,
            AlertName = alerts.Text("name"),
            Alerting = new SloAlert { Disabled = alerts.Flag("disable", false), Labels = SloReading.Texts(alerts, "labels", areLabels: true), Annotations = SloReading.Texts(alerts, "annotations", areLabels: false) },
        };
        CheckName(slo, "name", definition.Name);
        CheckName(slo, "service", definition.Service);
        alerts.Close();
        slo.Close();
        return definition;
    }

    private static void CheckName(ConfigSection slo, string key, string name)
    {
        if (name.Any(c => char.IsControl(c) || c is '"' or '\\' or '{' or '}'))
            slo.Error(key, $"'{name}' is not a name: no quotes, braces, backslashes or control characters");
    }

    private static (decimal Percent, double? Below) ReadObjective(ConfigSection slo)
    {
        string text = slo.RequiredText("objective").Trim();
        Match match = Percentile.Match(text);
        double? below = null;
        if (match.Success)
        {
            double number = double.Parse(match.Groups["d"].Value, CultureInfo.InvariantCulture);
            below = number * match.Groups["u"].Value.ToLowerInvariant() switch { "ms" => 0.001, "m" => 60, "h" => 3600, _ => 1 };
        }
        else
        {
            match = Share.Match(text);
        }
        if (!match.Success)
        {
            if (text.Length > 0)
                slo.Error("objective", $"'{text}' is not an objective; write for example 99.9, '99.9% availability', '95th percentile < 500ms' or 'p95 < 0.5s'");
            return (0, null);
        }
        decimal percent = decimal.Parse(match.Groups["p"].Value, CultureInfo.InvariantCulture);
        if (percent is <= 0 or > 100)
            slo.Error("objective", $"{percent} is not between 0 (exclusive) and 100 percent");
        return (percent, below);
    }

    private static SloWindow? ReadWindow(ConfigSection slo)
    {
        string calendar = slo.Text("calendar");
        if (calendar.Length == 0)
        {
            if (slo.Has("timezone"))
                slo.Error("timezone", "goes with 'calendar' (week, month, quarter, year) only");
            return SloReading.Period(slo, "window") is { } period ? new SloWindow(period) : null;
        }
        if (slo.Has("window"))
            slo.Error("window", "does not go with 'calendar'; write only one");
        CalendarUnit unit = slo.Word("calendar", CalendarUnit.Month, [("day", CalendarUnit.Day), ("week", CalendarUnit.Week), ("month", CalendarUnit.Month), ("quarter", CalendarUnit.Quarter), ("year", CalendarUnit.Year)]);
        string zone = slo.Text("timezone", "UTC");
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(zone, out TimeZoneInfo? known))
        {
            slo.Error("timezone", $"'{zone}' is not a time zone of the IANA database, such as Europe/Berlin");
            return null;
        }
        int days = unit switch { CalendarUnit.Day => 1, CalendarUnit.Week => 7, CalendarUnit.Month => 30, CalendarUnit.Quarter => 90, _ => 365 };
        // 1 January 2024 was a Monday: weeks begin on Monday, as ISO 8601 has it.
        return new SloWindow(TimeSpan.FromDays(days), new CalendarPeriods(unit, 1, new DateTime(2024, 1, 1), known));
    }

    private static SloIndicator ReadIndicator(ConfigSection slo, double? below)
    {
        string[] forms = [.. s_forms.Where(slo.Has)];
        if (forms.Length != 1)
        {
            slo.Error(forms.Length == 0
                ? "has no metric; write 'total' with 'good' or 'bad', or 'latency', 'value', or 'ratio'"
                : $"has {string.Join(" and ", forms)}; write only one of them");
            return new SloIndicator();
        }
        if (below is not null && forms[0] is "total" or "ratio")
            slo.Error("objective", "a percentile needs 'latency' (a histogram) or 'value'");
        return forms[0] switch
        {
            "latency" => ReadLatency(slo, below),
            "value" => ReadValue(slo, below),
            "ratio" => new SloIndicator { Raw = SloReading.AnyQuery(slo, "ratio", SloQueryKind.Gauge) },
            _ => ReadEvents(slo),
        };
    }

    private static SloIndicator ReadEvents(ConfigSection slo)
    {
        bool good = slo.Has("good"), bad = slo.Has("bad");
        if (good == bad)
            slo.Error(good ? "has good and bad; write only one" : "has 'total' and neither 'good' nor 'bad'; write one of them");
        return new SloIndicator
        {
            Good = good ? SloReading.AnyQuery(slo, "good", SloQueryKind.Counter) : null,
            Bad = bad && !good ? SloReading.AnyQuery(slo, "bad", SloQueryKind.Counter) : null,
            Total = SloReading.AnyQuery(slo, "total", SloQueryKind.Counter),
        };
    }

    private static SloIndicator ReadValue(ConfigSection slo, double? below)
    {
        bool under = slo.Has("below"), over = slo.Has("above");
        if (below is null && under == over)
            slo.Error("value", "needs one of 'below' and 'above': the bound that makes a sample good");
        double bound = below ?? (under ? slo.Number("below", 0) : slo.Number("above", 0));
        return new SloIndicator { Threshold = SloReading.AnyQuery(slo, "value", SloQueryKind.Gauge), Operator = below is not null || under ? "<" : ">", Value = bound };
    }

    /// <summary>A classic histogram: the bucket with the bound is good, the count is the total. Of a native one the share below the bound is told from its buckets.</summary>
    private static SloIndicator ReadLatency(ConfigSection slo, double? below)
    {
        string text = slo.RequiredText("latency");
        double bound = below ?? (slo.Has("below") ? slo.Duration("below", TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(1)).TotalSeconds : 0);
        if (below is null && !slo.Has("below"))
            slo.Error("below", "is missing: the bound that makes an event good, for example 500ms, which the histogram has a bucket for");
        bool isNative = slo.Flag("native", false);
        if (PromQlParser.Parse(text).Expr is not VectorSelector { Name.Length: > 0 } selector)
        {
            slo.Error("latency", "must be a histogram's selector without '_bucket', such as http_request_duration_seconds{job=\"api\"}");
            return new SloIndicator();
        }
        if (isNative)
            return Native(selector, bound, SloReading.PlaceOf(slo, "latency"));
        string name = selector.Name.EndsWith("_bucket", StringComparison.Ordinal) ? selector.Name[..^"_bucket".Length] : selector.Name;
        string le = bound.ToString("R", CultureInfo.InvariantCulture);
        // Clients write whole bounds as 1 or as 1.0.
        Core.Model.LabelMatcher bucket = le.Contains('.', StringComparison.Ordinal) ? new(MatchType.Equal, "le", le) : new(MatchType.Regex, "le", $"{le}([.]0)?");
        List<Core.Model.LabelMatcher> others = [.. selector.Matchers.Where(m => m.Name is not "le" and not Core.Model.LabelNames.MetricName)];
        SloPlace place = SloReading.PlaceOf(slo, "latency");
        return new SloIndicator
        {
            Good = new SloQuery(Text(name + "_bucket", [.. others, bucket]), SloQueryKind.Counter, place),
            Total = new SloQuery(Text(name + "_count", others), SloQueryKind.Counter, place),
        };
    }

    /// <summary>The indicator of a native histogram: what share of it lies below a bound, times how many there are.</summary>
    internal static SloIndicator Native(VectorSelector selector, double seconds, SloPlace place, string by = "")
    {
        string all = $"sum {by}(increase({selector}[{SloReading.WindowMark}]))";
        return new SloIndicator
        {
            Good = new SloQuery($"histogram_fraction(0, {seconds.ToString("R", CultureInfo.InvariantCulture)}, {all}) * histogram_count({all}) >= 0", SloQueryKind.Windowed, place),
            Total = new SloQuery($"histogram_count({all})", SloQueryKind.Windowed, place),
        };
    }

    private static string Text(string name, IReadOnlyList<Core.Model.LabelMatcher> matchers) => new VectorSelector(name, [new(MatchType.Equal, Core.Model.LabelNames.MetricName, name), .. matchers]).ToString();
}
