using System.Globalization;
using System.Text;
using Bellwether.Core.Exposition;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>A sample as templates see it: <c>.Labels</c> and <c>.Value</c>.</summary>
internal sealed record TemplateSample(TemplateMap Labels, double Value);

/// <summary>What stands in the dot at the start.</summary>
internal sealed record TemplateRoot(TemplateMap Labels, TemplateMap ExternalLabels, string ExternalUrl, double Value);

/// <summary>A map as Go has it; of a string map a missing key is the empty string.</summary>
internal sealed class TemplateMap(bool ofStrings, SortedDictionary<string, object?> items)
{
    public SortedDictionary<string, object?> Items { get; } = items;

    public bool OfStrings { get; } = ofStrings;

    public object? Get(string key) => Items.TryGetValue(key, out object? value) ? value : OfStrings ? "" : null;

    public static TemplateMap Of(Core.Model.Labels labels)
    {
        var items = new SortedDictionary<string, object?>(StringComparer.Ordinal);
        foreach (Core.Model.Label label in labels.AsSpan())
            items[label.Name] = label.Value;
        return new TemplateMap(true, items);
    }
}

/// <summary>Values of templates: long, double, string, bool, null, <see cref="TemplateMap"/>, <see cref="TemplateSample"/>, lists, times; printed as Go prints them.</summary>
internal static class TemplateValues
{
    /// <summary>Go's truth: not the zero value.</summary>
    public static bool IsTrue(object? value) => value switch
    {
        null => false,
        bool b => b,
        long n => n != 0,
        double d => d != 0,
        string s => s.Length > 0,
        TemplateMap m => m.Items.Count > 0,
        IReadOnlyList<object?> l => l.Count > 0,
        _ => true,
    };

    /// <summary>Go's name of the type, for messages.</summary>
    public static string TypeName(object? value) => value switch
    {
        null => "nil",
        bool => "bool",
        long => "int",
        double => "float64",
        string => "string",
        TemplateMap m => m.OfStrings ? "map[string]string" : "map[string]interface {}",
        TemplateSample => "*template.sample",
        IReadOnlyList<object?> => "template.queryResult",
        DateTimeOffset => "time.Time",
        _ => "struct",
    };

    /// <summary>Go's <c>%v</c>.</summary>
    public static string Print(object? value) => value switch
    {
        null => "<no value>",
        bool b => b ? "true" : "false",
        long n => n.ToString(CultureInfo.InvariantCulture),
        double d => FloatText.ToText(d),
        string s => s,
        TemplateMap m => PrintMap(m),
        TemplateSample s => $"{{{Print(s.Labels)} {Print(s.Value)}}}",
        IReadOnlyList<object?> l => "[" + string.Join(' ', l.Select(Print)) + "]",
        TemplateRoot r => $"{{{Print(r.Labels)} {Print(r.ExternalLabels)} {r.ExternalUrl} {Print(r.Value)}}}",
        DateTimeOffset t => PrintTime(t),
        _ => value.ToString() ?? "",
    };

    /// <summary>Go's default form of a UTC time.</summary>
    public static string PrintTime(DateTimeOffset time)
    {
        string fraction = (time.Ticks % TimeSpan.TicksPerSecond) == 0 ? "" : time.ToString("'.'FFFFFFF", CultureInfo.InvariantCulture);
        return time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) + fraction + " +0000 UTC";
    }

    private static string PrintMap(TemplateMap map)
    {
        var text = new StringBuilder("map[");
        foreach ((string key, object? value) in map.Items)
        {
            if (text.Length > 4)
                text.Append(' ');
            text.Append(key).Append(':').Append(value is null ? "<nil>" : Print(value));
        }
        return text.Append(']').ToString();
    }
}
