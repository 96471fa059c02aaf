using System.Globalization;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>What the readers of the forms share: one document's root, and where warnings go.</summary>
internal sealed class SloReading(ConfigSection root, int document, List<ConfigError> warnings)
{
    /// <summary>Where a query's range goes.</summary>
    public const string WindowMark = "{{.window}}";

    private static readonly TimeSpan s_anyWindow = TimeSpan.FromMinutes(5);

    public ConfigSection Root { get; } = root;

    public int Document { get; } = document;

    public static SloPlace PlaceOf(ConfigSection section, string key = "")
    {
        ConfigNode? node = (key.Length > 0 ? section.Find(key) : null) ?? section.Node;
        return new SloPlace(section.Reading.File, node?.Line ?? 0, node?.Column ?? 0, key.Length > 0 ? section.PathOf(key) : section.Path);
    }

    public void Warn(ConfigSection section, string key, string message)
    {
        SloPlace place = PlaceOf(section, key);
        warnings.Add(new ConfigError(place.File, place.Line, place.Column, place.Path, message));
    }

    /// <summary>Keys that the format does not know refuse nothing, as in the programs that own the format; they are told.</summary>
    public void WarnOfUnknown(ConfigSection section, params ReadOnlySpan<string> besides)
    {
        foreach (ConfigError unknown in section.Unknown(besides))
            warnings.Add(unknown with { Message = unknown.Message + " (it has no effect)" });
    }

    public static Dictionary<string, string> Texts(ConfigSection section, string key, bool areLabels)
    {
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((ConfigNode name, ConfigNode value, string path) in section.Pairs(key))
        {
            if (areLabels && (!Labels.IsLegacyLabelName(name.Text) || name.Text == LabelNames.MetricName))
                section.Reading.Error(name, path, $"'{name.Text}' is not a label name: letters, digits and _, not beginning with a digit");
            else if (section.CheckScalar(value, path))
                texts[name.Text] = value.Text;
        }
        return texts;
    }

    /// <summary>A percentage, more than 0 and at most 100.</summary>
    public static decimal Percent(ConfigSection section, string key)
    {
        string text = section.RequiredText(key);
        if (text.Length == 0)
            return 0;
        if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out decimal percent))
            section.Error(key, $"'{text}' is not a number; write the percentage, for example 99.9");
        else if (percent is <= 0 or > 100)
            section.Error(key, $"{text} is not between 0 (exclusive) and 100 percent");
        else
            return percent;
        return 0;
    }

    /// <summary>A query with <c>{{.window}}</c>; it must be there and parse.</summary>
    public static SloQuery? Windowed(ConfigSection section, string key)
    {
        string text = section.RequiredText(key).Trim();
        if (text.Length == 0)
            return null;
        if (!WindowedText.HasMark(text))
        {
            section.Error(key, $"has no {WindowMark}; write it where the range goes, for example sum(rate(http_requests_total[{WindowMark}]))");
            return null;
        }
        return Parsed(section, key, new SloQuery(text, SloQueryKind.Windowed, PlaceOf(section, key)));
    }

    /// <summary>A query of any kind: with <c>{{.window}}</c> it is windowed, else it is what <paramref name="kind"/> says.</summary>
    public static SloQuery? AnyQuery(ConfigSection section, string key, SloQueryKind kind)
    {
        string text = section.RequiredText(key).Trim();
        if (text.Length == 0)
            return null;
        return Parsed(section, key, new SloQuery(text, WindowedText.HasMark(text) ? SloQueryKind.Windowed : kind, PlaceOf(section, key)));
    }

    /// <summary>The query when it parses as PromQL over any window; else an error.</summary>
    public static SloQuery? Parsed(ConfigSection section, string key, SloQuery query)
    {
        (string? _, string error) = WindowedText.At(query, s_anyWindow);
        if (error.Length == 0)
            return query;
        section.Error(key, error);
        return null;
    }

    /// <summary>A length of time as Prometheus writes it; at least a minute.</summary>
    public static TimeSpan? Period(ConfigSection section, string key)
    {
        if (!section.Has(key))
            return null;
        TimeSpan period = section.Duration(key, TimeSpan.Zero, TimeSpan.FromHours(1));
        return period > TimeSpan.Zero ? period : null;
    }
}
