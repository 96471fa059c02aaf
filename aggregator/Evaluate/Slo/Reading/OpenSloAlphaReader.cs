using Bellwether.Core.Configuration;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>The SLO of <c>openslo/v1alpha</c>, as Sloth reads it: ratio metrics of Prometheus, one objective after the other.</summary>
internal static class OpenSloAlphaReader
{
    public static void Read(SloReading reading, List<SloDefinition> slos)
    {
        ConfigSection root = reading.Root;
        root.Find("apiVersion");
        string kind = root.Text("kind");
        if (kind != "SLO")
        {
            root.Error("kind", $"'{kind}' of openslo/v1alpha is not read; there is: SLO. Write openslo/v1 for the other kinds");
            return;
        }
        ConfigSection metadata = root.Section("metadata"), spec = root.Section("spec");
        string name = metadata.RequiredText("name"), service = spec.RequiredText("service");
        string method = spec.Text("budgetingMethod", "Occurrences");
        if (method != "Occurrences")
            spec.Error("budgetingMethod", $"'{method}' of openslo/v1alpha is not read; there is: Occurrences. Write openslo/v1 for time slices");
        SloWindow? window = ReadWindow(spec);
        int index = 0;
        foreach (ConfigSection objective in spec.Sections("objectives"))
        {
            ConfigSection ratio = objective.Section("ratioMetrics");
            if (!ratio.IsPresent)
                objective.Error("ratioMetrics", "is missing: good and total, each with a query");
            slos.Add(new SloDefinition
            {
                Form = SloForm.OpenSloAlpha,
                Place = SloReading.PlaceOf(objective),
                Document = reading.Document,
                Service = service,
                Name = $"{name}-{index++}",
                DisplayName = metadata.Text("displayName"),
                Description = spec.Text("description"),
                ObjectivePercent = OpenSloReader.ReadTarget(objective),
                Indicator = new SloIndicator { Good = ReadQuery(ratio, "good"), Total = ReadQuery(ratio, "total") },
                Window = window,
            });
        }
        if (index == 0)
            spec.Error("objectives", "is missing: a list with at least one objective");
    }

    private static SloQuery? ReadQuery(ConfigSection ratio, string key)
    {
        ConfigSection metric = ratio.Section(key);
        if (!metric.IsPresent && ratio.IsPresent)
            ratio.Error(key, "is missing");
        string source = metric.Text("source", "prometheus"), type = metric.Text("queryType", "promql");
        if (!source.Equals("prometheus", StringComparison.OrdinalIgnoreCase))
            metric.Error("source", $"'{source}' cannot be asked; there is: prometheus");
        if (!type.Equals("promql", StringComparison.OrdinalIgnoreCase))
            metric.Error("queryType", $"'{type}' cannot be asked; there is: promql");
        return metric.IsPresent ? SloReading.Windowed(metric, "query") : null;
    }

    private static SloWindow? ReadWindow(ConfigSection spec)
    {
        SloWindow? window = null;
        int count = 0;
        foreach (ConfigSection each in spec.Sections("timeWindows"))
        {
            count++;
            long units = each.Whole("count", 30, 1, 3650);
            int days = each.Word("unit", 1, [("Day", 1), ("Week", 7), ("Month", 30), ("Quarter", 90), ("Year", 365)]);
            window = new SloWindow(TimeSpan.FromDays(units * days));
        }
        if (count != 1)
            spec.Error("timeWindows", $"has {count} windows; write exactly one, for example '- count: 30' with 'unit: Day'");
        return window;
    }
}
