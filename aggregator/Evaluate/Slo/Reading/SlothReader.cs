using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>Sloth's files (<c>version: prometheus/v1</c>), its Kubernetes object (<c>kind: PrometheusServiceLevel</c>) and its alert windows. Source: sloth.dev/specs/default/ and /specs/kubernetes/.</summary>
internal static partial class SlothReader
{
    private const string PluginsAreNotRun = "Sloth's plugins are Go programs and are not run; the rules are those without it";

    [GeneratedRegex(@"\A[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Name { get; }

    public static void ReadFile(SloReading reading, List<SloDefinition> slos)
    {
        ConfigSection root = reading.Root;
        string version = root.Text("version");
        if (version != "prometheus/v1")
            root.Error("version", $"'{version}' is not known; there is: prometheus/v1");
        ReadBody(reading, root, isObject: false, null, slos);
        reading.WarnOfUnknown(root);
    }

    public static void ReadObject(SloReading reading, List<SloDefinition> slos)
    {
        ConfigSection root = reading.Root;
        root.Find("apiVersion");
        root.Find("kind");
        ConfigSection metadata = root.Section("metadata");
        var about = new SloObject(metadata.RequiredText("name"), metadata.Text("namespace"), SloReading.Texts(metadata, "labels", areLabels: false), SloReading.Texts(metadata, "annotations", areLabels: false));
        ConfigSection spec = root.Section("spec");
        if (!spec.IsPresent)
            root.Error("spec", "is missing");
        ReadBody(reading, spec, isObject: true, about, slos);
        reading.WarnOfUnknown(spec);
        reading.WarnOfUnknown(root, "status");
    }

    public static void ReadWindows(SloReading reading, List<BurnWindows> windows)
    {
        ConfigSection root = reading.Root;
        root.Find("apiVersion");
        root.Find("kind");
        ConfigSection spec = root.Section("spec");
        TimeSpan period = spec.Duration("sloPeriod", TimeSpan.FromDays(30), TimeSpan.FromHours(1));
        windows.Add(new BurnWindows(period, ReadPairs(spec.Section("page")), ReadPairs(spec.Section("ticket")), "an AlertWindows file"));
        spec.Close();
        root.Close("metadata");
    }

    private static BurnWindow[] ReadPairs(ConfigSection section)
    {
        BurnWindow[] pairs = [ReadPair(section.Section("quick")), ReadPair(section.Section("slow"))];
        section.Close();
        return pairs;
    }

    private static BurnWindow ReadPair(ConfigSection section)
    {
        if (!section.IsPresent)
            section.Reading.Error(null, section.Path, "is missing: errorBudgetPercent, shortWindow and longWindow");
        TimeSpan least = TimeSpan.FromMinutes(1);
        var pair = new BurnWindow(section.Number("errorBudgetPercent", 2, 0.000001, 100), section.Duration("shortWindow", least, least), section.Duration("longWindow", TimeSpan.FromHours(1), least));
        if (pair.Short >= pair.Long)
            section.Error("shortWindow", "must be shorter than longWindow");
        section.Close();
        return pair;
    }

    private static void ReadBody(SloReading reading, ConfigSection section, bool isObject, SloObject? about, List<SloDefinition> slos)
    {
        string service = section.RequiredText("service");
        CheckName(section, "service", service);
        Dictionary<string, string> labels = SloReading.Texts(section, "labels", areLabels: true);
        string plugins = isObject ? "sloPlugins" : "slo_plugins";
        if (section.Has(plugins))
            reading.Warn(section, plugins, PluginsAreNotRun);
        int count = 0;
        foreach (ConfigSection slo in section.Sections("slos"))
        {
            count++;
            slos.Add(ReadSlo(reading, slo, service, labels, isObject, about));
        }
        if (count == 0)
            section.Error("slos", "is missing: a list with at least one objective");
    }

    private static void CheckName(ConfigSection section, string key, string name)
    {
        if (name.Length > 0 && !Name.IsMatch(name))
            section.Error(key, $"'{name}' is not a name: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit");
    }

    private static SloDefinition ReadSlo(SloReading reading, ConfigSection slo, string service, Dictionary<string, string> shared, bool isObject, SloObject? about)
    {
        string name = slo.RequiredText("name");
        CheckName(slo, "name", name);
        var labels = new Dictionary<string, string>(shared, StringComparer.Ordinal);
        foreach ((string key, string value) in SloReading.Texts(slo, "labels", areLabels: true))
            labels[key] = value;
        if (slo.Has("plugins"))
            reading.Warn(slo, "plugins", PluginsAreNotRun);
        ConfigSection alerting = slo.Section("alerting");
        SloAlert page = ReadAlert(reading, alerting.Section(isObject ? "pageAlert" : "page_alert"));
        SloAlert ticket = ReadAlert(reading, alerting.Section(isObject ? "ticketAlert" : "ticket_alert"));
        string alertName = alerting.Text("name");
        if (alertName.Length == 0 && !(page.Disabled && ticket.Disabled))
            alerting.Reading.Error(alerting.Node ?? slo.Node, alerting.PathOf("name"), "is missing: the alerts need a name, unless both are disabled");
        var definition = new SloDefinition
        {
            Form = isObject ? SloForm.SlothObject : SloForm.Sloth,
            Place = SloReading.PlaceOf(slo),
            Document = reading.Document,
            Service = service,
            Name = name,
            Description = slo.Text("description"),
            ObjectivePercent = SloReading.Percent(slo, "objective"),
            Indicator = ReadIndicator(slo, isObject),
            Labels = labels,
            AlertName = alertName,
            Alerting = new SloAlert { Labels = SloReading.Texts(alerting, "labels", areLabels: true), Annotations = SloReading.Texts(alerting, "annotations", areLabels: false) },
            Page = page,
            Ticket = ticket,
            Object = about,
        };
        reading.WarnOfUnknown(alerting);
        reading.WarnOfUnknown(slo);
        return definition;
    }

    private static SloAlert ReadAlert(SloReading reading, ConfigSection alert)
    {
        var read = new SloAlert { Disabled = alert.Flag("disable", false), Labels = SloReading.Texts(alert, "labels", areLabels: true), Annotations = SloReading.Texts(alert, "annotations", areLabels: false) };
        reading.WarnOfUnknown(alert);
        return read;
    }

    private static SloIndicator ReadIndicator(ConfigSection slo, bool isObject)
    {
        ConfigSection sli = slo.Section("sli");
        ConfigSection events = sli.Section("events"), raw = sli.Section("raw");
        if (sli.Has("plugin"))
        {
            sli.Error("plugin", "Sloth's plugins are Go programs and are not run; write the queries that it gives under 'events' (error query and total query)");
            return new SloIndicator();
        }
        if (events.IsPresent == raw.IsPresent)
        {
            slo.Error("sli", events.IsPresent ? "has 'events' and 'raw'; write only one" : "is empty; write 'events' with an error query and a total query, or 'raw' with an error ratio query");
            return new SloIndicator();
        }
        SloIndicator indicator = events.IsPresent
            ? new SloIndicator { Bad = SloReading.Windowed(events, isObject ? "errorQuery" : "error_query"), Total = SloReading.Windowed(events, isObject ? "totalQuery" : "total_query") }
            : new SloIndicator { Raw = SloReading.Windowed(raw, isObject ? "errorRatioQuery" : "error_ratio_query"), RawIsFailure = true };
        events.Close();
        raw.Close();
        sli.Close();
        return indicator;
    }
}
