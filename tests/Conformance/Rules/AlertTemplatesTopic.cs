using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Rules.Templates;

namespace Bellwether.Conformance.Rules;

/// <summary>alert-templates: each template is expanded and compared with what Prometheus wrote.</summary>
internal sealed class AlertTemplatesTopic : ITopic
{
    public string Name => "alert-templates";

    public void Run(string folder, TopicReport report)
    {
        using JsonDocument file = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "cases.json")));
        JsonElement context = file.RootElement.GetProperty("context");
        var queries = context.GetProperty("queries").EnumerateObject().ToDictionary(q => q.Name, q => q.Value);
        var around = new TemplateContext(ToLabels(context.GetProperty("externalLabels")), context.GetProperty("externalURL").GetString()!, q => Ask(queries, q), TimeProvider.System);
        foreach (JsonElement one in file.RootElement.GetProperty("cases").EnumerateArray())
        {
            string text = one.GetProperty("template").GetString()!;
            report.Case("alert-templates/cases.json", 0, text, () => Check(one, text, around, ToLabels(context.GetProperty("labels")), context.GetProperty("value").GetDouble(), report));
        }
    }

    private static void Check(JsonElement one, string text, TemplateContext around, Labels labels, double value, TopicReport report)
    {
        string expected = one.TryGetProperty("error", out JsonElement wrong) ? "error: " + wrong.GetString() : one.GetProperty("output").GetString()!;
        AlertTemplate? template = AlertTemplate.TryParse(text, out string? error);
        string got = "error: load";
        if (template is not null)
        {
            got = template.Expand(around, labels, value, out error);
            if (error is not null)
                got = got.StartsWith("<error expanding template: ", StringComparison.Ordinal) ? "error: expand" : got;
        }
        if (got == expected)
            report.Pass();
        else
            report.Fail("alert-templates/cases.json", 0, text, expected, $"{got} ({error})");
    }

    private static List<(Labels Labels, double Value)> Ask(Dictionary<string, JsonElement> queries, string query)
    {
        string name = query.Split('{')[0];
        if (!queries.TryGetValue(name, out JsonElement samples))
            return [];
        // The context gives whole series; the one narrowed query of the cases asks for a label of it.
        return [.. samples.EnumerateArray().Select(s => (ToLabels(s.GetProperty("labels")), s.GetProperty("value").GetDouble()))
            .Where(s => !query.Contains('{', StringComparison.Ordinal) || query.Contains($"n=\"{s.Item1.Get("n")}\"", StringComparison.Ordinal))];
    }

    private static Labels ToLabels(JsonElement element)
    {
        var builder = new LabelsBuilder();
        foreach (JsonProperty property in element.EnumerateObject())
            builder.Set(property.Name, property.Value.GetString()!);
        return builder.Build();
    }
}
