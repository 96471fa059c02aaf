using System.Globalization;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>Reads documents of OpenSLO v1. Source: github.com/OpenSLO/OpenSLO, README and schemas/v1. Keys that the schema does not know are told and have no effect.</summary>
internal static partial class OpenSloReader
{
    private const int DescriptionMax = 1050;
    internal const string NameForm = "small letters, digits, '.' and '-', beginning with a letter or digit, at most 255 characters";
    private static readonly string[] s_notWithRaw = ["good", "bad", "total"];
    internal static readonly (string, string)[] Operators = [("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")];

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9.|/\\-]*[a-z0-9]*\z", RegexOptions.CultureInvariant)]
    internal static partial Regex Name { get; }

    [GeneratedRegex(@"\A[a-z0-9A-Z][a-z0-9A-Z._-]*\z", RegexOptions.CultureInvariant)]
    private static partial Regex LabelValue { get; }

    [GeneratedRegex(@"\A(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]/)?[a-z0-9A-Z][a-z0-9A-Z._-]{0,62}\z", RegexOptions.CultureInvariant)]
    private static partial Regex AnnotationName { get; }

    [GeneratedRegex(@"\A[^A-Za-z0-9_]|[^A-Za-z0-9_]", RegexOptions.CultureInvariant)]
    private static partial Regex NoLabelCharacter { get; }

    public static void Read(SloReading reading, OpenSloLibrary library)
    {
        ConfigSection root = reading.Root;
        string api = root.Text("apiVersion");
        if (api != "openslo/v1")
            root.Error("apiVersion", $"'{api}' is not known; there are: openslo/v1, openslo/v1alpha");
        Action<SloReading, ConfigSection, string, OpenSloLibrary>? read = root.Word<Action<SloReading, ConfigSection, string, OpenSloLibrary>?>("kind", null,
            [("SLO", ReadSlo), ("SLI", ReadSli), ("Service", ReadService), ("DataSource", ReadSource), ("AlertPolicy", OpenSloAlertReader.ReadPolicy), ("AlertCondition", OpenSloAlertReader.ReadCondition), ("AlertNotificationTarget", OpenSloAlertReader.ReadTarget)]);
        if (!root.Has("kind"))
            root.Error("kind", "is missing; there are: SLO, SLI, Service, DataSource, AlertPolicy, AlertCondition, AlertNotificationTarget");
        string name = ReadMetadata(reading, root);
        ConfigSection spec = root.Section("spec");
        if (!spec.IsPresent)
            root.Error("spec", "is missing");
        library.HasNameless |= read is null || name.Length == 0;
        if (read is not null && name.Length > 0 && !library.Note(root.Text("kind"), name, SloReading.PlaceOf(root), out SloPlace? first))
            root.Error("metadata", $"{root.Text("kind")} '{name}' is there twice; first in {first!.File}:{first.Line}");
        if (read is not null && spec.IsPresent)
        {
            Description(spec);
            read(reading, spec, name, library);
            reading.WarnOfUnknown(spec);
        }
        reading.WarnOfUnknown(root);
    }

    /// <summary>A target between 0 and 1, or in percent; in percent.</summary>
    public static decimal ReadTarget(ConfigSection objective)
    {
        bool share = objective.Has("target"), percent = objective.Has("targetPercent");
        if (share == percent)
        {
            objective.Error(share ? "target" : "", share ? "has target and targetPercent; write only one" : "has no target; write for example target: 0.999, or targetPercent: 99.9");
            return 0;
        }
        string key = share ? "target" : "targetPercent", text = objective.RequiredText(key);
        decimal max = share ? 1 : 100;
        if (!decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out decimal target))
            objective.Error(key, $"'{text}' is not a number; write for example {(share ? "0.999" : "99.9")}");
        else if (target < 0 || target >= max)
            objective.Error(key, $"{text} is not between 0 and {max} (exclusive)");
        else
            return share ? target * 100 : target;
        return 0;
    }

    internal static string ReadMetadata(SloReading reading, ConfigSection holder)
    {
        ConfigSection metadata = holder.Section("metadata");
        if (!metadata.IsPresent)
        {
            holder.Error("metadata", "is missing; it holds at least a name");
            return "";
        }
        string name = metadata.RequiredText("name");
        if (name.Length > 0)
            CheckName(metadata, "name", name);
        if (metadata.Has("displayName") && metadata.Text("displayName").Length == 0)
            metadata.Error("displayName", "is empty; write a text, or leave it out");
        foreach ((ConfigNode key, ConfigNode value, string path) in metadata.Pairs("labels"))
        {
            foreach (ConfigNode each in value.Kind == ConfigNodeKind.Sequence ? value.Items : [value])
            {
                if (metadata.CheckScalar(each, path) && (each.Text.Length > 63 || !LabelValue.IsMatch(each.Text)))
                    metadata.Reading.Error(each, path, $"'{each.Text}' is no label value: letters, digits, '.', '_' and '-', at most 63 characters");
            }
        }
        foreach ((ConfigNode key, _, string path) in metadata.Pairs("annotations"))
        {
            if (!AnnotationName.IsMatch(key.Text))
                metadata.Reading.Error(key, path, $"'{key.Text}' is no annotation name: a name of letters, digits, '.', '_' and '-', perhaps after 'domain/'");
        }
        reading.WarnOfUnknown(metadata);
        return name;
    }

    internal static void CheckName(ConfigSection section, string key, string name)
    {
        if (name.Length > 255 || !Name.IsMatch(name))
            section.Error(key, $"'{(name.Length > 60 ? name[..60] + "..." : name)}' is no name: {NameForm}");
    }

    internal static OpenSloRef? ReadRef(ConfigSection section, string key)
    {
        if (!section.Has(key))
            return null;
        string name = section.RequiredText(key);
        if (name.Length > 0)
            CheckName(section, key, name);
        return new OpenSloRef(name, SloReading.PlaceOf(section, key));
    }

    internal static string Description(ConfigSection spec)
    {
        string text = spec.Text("description");
        if (text.Length > DescriptionMax)
            spec.Error("description", $"has {text.Length} characters; at most {DescriptionMax} are allowed");
        return text;
    }

    private static void ReadService(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library) => library.AddService(name);

    private static void ReadSource(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library)
    {
        string type = spec.RequiredText("type");
        if (!spec.Section("connectionDetails").IsPresent)
            spec.Error("connectionDetails", "is missing: a section; Bellwether asks its own store and reads nothing of it");
        library.AddSource(name, type);
    }

    private static void ReadSli(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library)
    {
        if (ReadSliSpec(reading, spec, name, isOwnDocument: true) is { } sli)
            library.Add(sli);
    }

    private static OpenSloSli? ReadSliSpec(SloReading reading, ConfigSection spec, string name, bool isOwnDocument)
    {
        ConfigSection threshold = spec.Section("thresholdMetric"), ratio = spec.Section("ratioMetric");
        if (threshold.IsPresent == ratio.IsPresent)
        {
            spec.Error(threshold.IsPresent ? "has thresholdMetric and ratioMetric; write only one" : "has no metric; write thresholdMetric or ratioMetric");
            return null;
        }
        if (threshold.IsPresent)
            return new OpenSloSli(name, false, null, null, null, null, false, ReadMetricSource(reading, threshold));
        if (ratio.Has("raw"))
        {
            foreach (string other in s_notWithRaw.Where(ratio.Has))
                ratio.Error(other, "does not go with 'raw'");
            if (!ratio.Has("rawType"))
                ratio.Error("rawType", "is missing; there are: success, failure");
            ratio.Find("counter");
            bool failure = ratio.Word("rawType", false, [("success", false), ("failure", true)]);
            return new OpenSloSli(name, false, null, null, null, ReadMetricSource(reading, ratio.Section("raw")), failure, null);
        }
        bool good = ratio.Has("good"), bad = ratio.Has("bad");
        if (good == bad)
            ratio.Error(good ? "has good and bad; write only one" : "has neither good nor bad; write one of them");
        if (!ratio.Has("total"))
            ratio.Error("total", "is missing");
        if (!ratio.Has("counter"))
            NoCounter(reading, ratio, isOwnDocument);
        var sli = new OpenSloSli(
            name,
            ratio.Flag("counter", true),
            good ? ReadMetricSource(reading, ratio.Section("good")) : null,
            bad ? ReadMetricSource(reading, ratio.Section("bad")) : null,
            ratio.Has("total") ? ReadMetricSource(reading, ratio.Section("total")) : null,
            null, false, null);
        reading.WarnOfUnknown(ratio);
        return sli;
    }

    private static void NoCounter(SloReading reading, ConfigSection ratio, bool isError)
    {
        const string message = "is missing: whether the metrics are counters (true), or values to be summed (false)";
        if (isError)
            ratio.Error("counter", message);
        else
            reading.Warn(ratio, "counter", message + "; taken as true");
    }

    private static OpenSloSource? ReadMetricSource(SloReading reading, ConfigSection metric)
    {
        ConfigSection source = metric.Section("metricSource");
        if (!source.IsPresent)
        {
            metric.Error("metricSource", "is missing");
            return null;
        }
        ConfigSection spec = source.Section("spec");
        if (!spec.IsPresent)
            source.Error("spec", "is missing; it holds the query, for example query: sum(http_requests_total)");
        var read = new OpenSloSource(ReadRef(source, "metricSourceRef"), source.Text("type"), spec);
        reading.WarnOfUnknown(source);
        return read;
    }

    private static void ReadSlo(SloReading reading, ConfigSection spec, string name, OpenSloLibrary library)
    {
        string service = spec.RequiredText("service");
        if (service.Length > 0)
            CheckName(spec, "service", service);
        if (!spec.Has("budgetingMethod"))
            spec.Error("budgetingMethod", "is missing; there are: Occurrences, Timeslices, RatioTimeslices");
        BudgetingMethod method = spec.Word("budgetingMethod", BudgetingMethod.Occurrences, [("Occurrences", BudgetingMethod.Occurrences), ("Timeslices", BudgetingMethod.Timeslices), ("RatioTimeslices", BudgetingMethod.RatioTimeslices)]);
        List<OpenSloObjective> objectives = [.. spec.Sections("objectives").Select(o => ReadObjective(reading, o, method))];
        if (!spec.Has("objectives") || (objectives.Count == 0 && spec.Find("objectives") is { IsNull: true } or { Items.Count: 0 }))
            spec.Error("objectives", "is missing: a list with at least one objective");
        OpenSloIndicator? indicator = ReadIndicator(reading, spec, needed: !objectives.Any(o => o.Indicator is not null));
        SloWindow? window = ReadWindow(reading, spec, out bool hasWindow);
        ConfigSection metadata = reading.Root.Section("metadata");
        library.Add(new OpenSloSlo(
            new SloDefinition
            {
                Form = SloForm.OpenSlo,
                Place = SloReading.PlaceOf(spec),
                Document = reading.Document,
                Service = service,
                Name = name,
                DisplayName = metadata.Text("displayName"),
                Description = spec.Text("description"),
                Method = method,
                Window = window,
                Labels = LabelsOf(metadata),
            },
            hasWindow,
            indicator,
            objectives,
            [.. spec.List("alertPolicies").Select(p => OpenSloAlertReader.ReadPolicyUse(reading, spec, p.Node, p.Path)).OfType<OpenSloPolicyUse>()]));
    }

    /// <summary>Labels of the document that can be labels of series: one text each. Other characters become '_'.</summary>
    private static Dictionary<string, string> LabelsOf(ConfigSection metadata)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((ConfigNode key, ConfigNode value, _) in metadata.Pairs("labels"))
        {
            string name = NoLabelCharacter.Replace(key.Text, "_");
            if (name.Length > 0 && value.Kind != ConfigNodeKind.Mapping)
                labels[char.IsAsciiDigit(name[0]) ? "_" + name : name] = value.Kind == ConfigNodeKind.Sequence ? string.Join(",", value.Items.Select(i => i.Text)) : value.Text;
        }
        return labels;
    }

    private static OpenSloIndicator? ReadIndicator(SloReading reading, ConfigSection holder, bool needed)
    {
        bool inline = holder.Has("indicator"), named = holder.Has("indicatorRef");
        if (inline && named)
            holder.Error("indicatorRef", "does not go with 'indicator'; write only one");
        else if (inline != named && !needed && holder.Path == "spec")
            holder.Error(inline ? "indicator" : "indicatorRef", "does not go with indicators of the objectives; a composite has its indicators there only");
        else if (!inline && !named && needed)
            holder.Error("has no indicator; write 'indicator' or 'indicatorRef'");
        if (named)
            return new OpenSloIndicator(ReadRef(holder, "indicatorRef"), null);
        if (!inline)
            return null;
        ConfigSection indicator = holder.Section("indicator");
        string name = ReadMetadata(reading, indicator);
        ConfigSection spec = indicator.Section("spec");
        if (!spec.IsPresent)
            indicator.Error("spec", "is missing");
        Description(spec);
        OpenSloSli? sli = spec.IsPresent ? ReadSliSpec(reading, spec, name, isOwnDocument: false) : null;
        reading.WarnOfUnknown(spec);
        reading.WarnOfUnknown(indicator);
        return sli is null ? null : new OpenSloIndicator(null, sli);
    }

    private static OpenSloObjective ReadObjective(SloReading reading, ConfigSection objective, BudgetingMethod method)
    {
        if (objective.Has("displayName") && objective.Text("displayName").Length == 0)
            objective.Error("displayName", "is empty; write a text, or leave it out");
        bool slices = method != BudgetingMethod.Occurrences;
        double? target = objective.Has("timeSliceTarget") ? objective.Number("timeSliceTarget", 1, double.Epsilon, 1) : null;
        TimeSpan? slice = objective.Has("timeSliceWindow") ? ReadSlice(objective) : null;
        if (method == BudgetingMethod.Timeslices && target is null)
            objective.Error("timeSliceTarget", "is missing: the ratio (0 to 1) from which on a time slice is good");
        if (slices && slice is null && !objective.Has("timeSliceWindow"))
            objective.Error("timeSliceWindow", "is missing: the length of a time slice, for example 1m");
        var read = new OpenSloObjective(
            objective.Text("displayName"),
            ReadTarget(objective),
            objective.Has("op") ? objective.Word("op", "", Operators) : "",
            objective.Has("value") ? objective.Number("value", 0) : null,
            target,
            slice,
            objective.Number("compositeWeight", 1, double.Epsilon),
            objective.Has("indicator") || objective.Has("indicatorRef") ? ReadIndicator(reading, objective, needed: true) : null,
            SloReading.PlaceOf(objective));
        reading.WarnOfUnknown(objective);
        return read;
    }

    private static TimeSpan? ReadSlice(ConfigSection objective)
    {
        string text = objective.Text("timeSliceWindow");
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double minutes))
        {
            if (minutes is >= 1 and <= 1440 && minutes == Math.Floor(minutes))
                return TimeSpan.FromMinutes(minutes);
            objective.Error("timeSliceWindow", $"{text} minutes is not a time slice: a whole number from 1 to 1440");
            return null;
        }
        return Shorthand(objective, "timeSliceWindow") is { } duration ? duration.Length : null;
    }

    /// <summary>OpenSLO's duration shorthand: a whole number and one of <c>m h d w M Q Y</c>.</summary>
    internal static (TimeSpan Length, CalendarUnit Unit, int Count)? Shorthand(ConfigSection section, string key, bool zeroAllowed = false)
    {
        string text = section.RequiredText(key);
        if (text.Length == 0)
            return null;
        int unit = "mhdwMQY".IndexOf(text[^1], StringComparison.Ordinal);
        if (unit < 0 || text.Length < 2 || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count > 100_000 || (text[0] == '0' && !(zeroAllowed && count == 0)))
        {
            section.Error(key, $"'{text}' is not a duration: a whole number above 0 and one of m (minutes), h, d, w, M (months), Q (quarters), Y (years)");
            return null;
        }
        long minutes = unit switch { 0 => 1, 1 => 60, 2 => 1440, 3 => 7 * 1440, 4 => 30 * 1440, 5 => 90 * 1440, _ => 365 * 1440 };
        return (TimeSpan.FromMinutes(minutes * count), (CalendarUnit)unit, count);
    }

    private static SloWindow? ReadWindow(SloReading reading, ConfigSection spec, out bool hasWindow)
    {
        SloWindow? read = null;
        int count = 0;
        foreach (ConfigSection window in spec.Sections("timeWindow"))
        {
            if (count++ > 0)
            {
                window.Error("is one too many; there is one time window");
                continue;
            }
            (TimeSpan Length, CalendarUnit Unit, int Count)? duration = Shorthand(window, "duration");
            bool rolling = window.Flag("isRolling", false);
            ConfigSection calendar = window.Section("calendar");
            if (!rolling && !calendar.IsPresent)
                window.Error("calendar", "is missing: startTime and timeZone; or write isRolling: true");
            else if (rolling && calendar.IsPresent)
                window.Error("calendar", "does not go with isRolling: true");
            if (calendar.IsPresent)
                read = ReadCalendar(reading, calendar, duration);
            else if (duration is { } d)
                read = new SloWindow(d.Length);
            reading.WarnOfUnknown(window);
        }
        hasWindow = count > 0;
        return read;
    }

    private static SloWindow? ReadCalendar(SloReading reading, ConfigSection calendar, (TimeSpan Length, CalendarUnit Unit, int Count)? duration)
    {
        string start = calendar.RequiredText("startTime"), zone = calendar.RequiredText("timeZone");
        bool good = duration is not null;
        if (!DateTime.TryParseExact(start, "yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime from))
        {
            good = false;
            if (start.Length > 0)
                calendar.Error("startTime", $"'{start}' is not a time; write it as 2026-01-31 00:00:00");
        }
        if (!TimeZoneInfo.TryFindSystemTimeZoneById(zone, out TimeZoneInfo? known) || !known.HasIanaId)
        {
            good = false;
            if (zone.Length > 0)
                calendar.Error("timeZone", $"'{zone}' is not a time zone of the IANA database, such as Europe/Berlin");
        }
        reading.WarnOfUnknown(calendar);
        return good ? new SloWindow(duration!.Value.Length, new CalendarPeriods(duration.Value.Unit, duration.Value.Count, from, known!)) : null;
    }
}
