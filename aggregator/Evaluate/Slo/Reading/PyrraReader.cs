using Bellwether.Core.Configuration;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>Pyrra's Kubernetes object (<c>pyrra.dev/v1alpha1</c>, kind ServiceLevelObjective): ratio, latency, native-histogram latency, boolean gauge. Source: github.com/pyrra-dev/pyrra, README.</summary>
internal static class PyrraReader
{
    private const string LabelPrefix = "pyrra.dev/";
    private static readonly string[] s_kinds = ["ratio", "latency", "latencyNative", "bool_gauge", "boolGauge"];

    public static void Read(SloReading reading, List<SloDefinition> slos)
    {
        ConfigSection root = reading.Root;
        root.Find("apiVersion");
        root.Find("kind");
        ConfigSection metadata = root.Section("metadata"), spec = root.Section("spec");
        string name = metadata.RequiredText("name");
        Dictionary<string, string> labels = SloReading.Texts(metadata, "labels", areLabels: false);
        if (!spec.IsPresent)
            root.Error("spec", "is missing");
        ConfigSection alerting = spec.Section("alerting");
        var alert = new SloAlert { Disabled = alerting.Flag("disabled", false) || !alerting.Flag("burnrates", true) };
        alerting.Find("absent");
        SloIndicator indicator = ReadIndicator(reading, spec.Section("indicator"), spec);
        slos.Add(new SloDefinition
        {
            Form = SloForm.Pyrra,
            Place = SloReading.PlaceOf(spec),
            Document = reading.Document,
            Service = metadata.Text("namespace", "default"),
            Name = name,
            Description = spec.Text("description"),
            ObjectivePercent = SloReading.Percent(spec, "target"),
            Indicator = indicator,
            Window = spec.RequiredText("window").Length > 0 && SloReading.Period(spec, "window") is { } window ? new SloWindow(window) : null,
            Labels = labels.Where(l => l.Key.StartsWith(LabelPrefix, StringComparison.Ordinal)).ToDictionary(l => l.Key[LabelPrefix.Length..], l => l.Value),
            AlertName = alerting.Text("name"),
            Alerting = alert,
        });
        reading.WarnOfUnknown(alerting);
        reading.WarnOfUnknown(spec, "performanceOverAccuracy");
        reading.WarnOfUnknown(root, "status");
    }

    private static SloIndicator ReadIndicator(SloReading reading, ConfigSection indicator, ConfigSection spec)
    {
        string[] kinds = [.. s_kinds.Where(indicator.Has)];
        if (kinds.Length != 1)
        {
            spec.Error("indicator", kinds.Length == 0 ? "is missing; write one of ratio, latency, latencyNative, bool_gauge" : $"has {string.Join(" and ", kinds)}; write only one");
            return new SloIndicator();
        }
        ConfigSection own = indicator.Section(kinds[0]);
        string by = ReadGrouping(own);
        SloIndicator read = kinds[0] switch
        {
            "ratio" => new SloIndicator { Bad = Growth(own, "errors", by), Total = Growth(own, "total", by) },
            "latency" => ReadLatency(own, by),
            "latencyNative" => ReadNative(own, by),
            _ => ReadGauge(own, by),
        };
        reading.WarnOfUnknown(own);
        reading.WarnOfUnknown(indicator);
        return read;
    }

    private static string ReadGrouping(ConfigSection own)
    {
        ValueList<string> labels = own.Texts("grouping");
        foreach (string label in labels.Where(l => !Labels.IsLegacyLabelName(l)))
            own.Error("grouping", $"'{label}' is not a label name");
        return labels.Count == 0 ? "" : $"by ({string.Join(", ", labels)}) ";
    }

    private static SloIndicator ReadLatency(ConfigSection own, string by)
    {
        VectorSelector? success = Selector(own.Section("success"));
        if (success is not null && !success.Matchers.Any(m => m.Name == "le" && m.Type == MatchType.Equal))
            own.Section("success").Error("metric", "has no le=\"...\"; the bucket's bound is the latency of the objective");
        return new SloIndicator { Good = Growth(own, "success", by), Total = Growth(own, "total", by) };
    }

    private static SloIndicator ReadNative(ConfigSection own, string by)
    {
        TimeSpan latency = own.Duration("latency", TimeSpan.Zero, TimeSpan.FromMilliseconds(1));
        if (!own.Has("latency"))
            own.Error("latency", "is missing, for example 200ms");
        if (Selector(own.Section("total")) is not { } selector)
            return new SloIndicator();
        return ShortFormReader.Native(selector, latency.TotalSeconds, SloReading.PlaceOf(own.Section("total"), "metric"), by);
    }

    private static SloIndicator ReadGauge(ConfigSection own, string by)
    {
        if (Selector(own) is not { } selector)
            return new SloIndicator();
        SloPlace place = SloReading.PlaceOf(own, "metric");
        return new SloIndicator
        {
            Good = new SloQuery($"sum {by}(sum_over_time({selector}[{SloReading.WindowMark}]))", SloQueryKind.Windowed, place),
            Total = new SloQuery($"sum {by}(count_over_time({selector}[{SloReading.WindowMark}]))", SloQueryKind.Windowed, place),
        };
    }

    private static SloQuery? Growth(ConfigSection own, string key, string by)
    {
        ConfigSection metric = own.Section(key);
        if (!metric.IsPresent)
        {
            own.Error(key, "is missing: a section with 'metric'");
            return null;
        }
        return Selector(metric) is { } selector
            ? new SloQuery($"sum {by}(increase({selector}[{SloReading.WindowMark}]))", SloQueryKind.Windowed, SloReading.PlaceOf(metric, "metric"))
            : null;
    }

    private static VectorSelector? Selector(ConfigSection metric)
    {
        string text = metric.RequiredText("metric");
        if (text.Length == 0)
            return null;
        ParseResult parsed = PromQlParser.Parse(text);
        if (parsed.Expr is VectorSelector { Offset: null, At.Kind: AtKind.None } selector)
            return selector;
        metric.Error("metric", parsed.Expr is null ? $"is not PromQL: {parsed.Errors[0]}" : "must be a series selector such as http_requests_total{code=~\"5..\"}");
        return null;
    }
}
