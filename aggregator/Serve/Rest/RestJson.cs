using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;

namespace Bellwether.Serve.Rest;

/// <summary>Writes values as the REST API has them: times in RFC 3339 (UTC), numbers as numbers, NaN and infinities as texts.</summary>
internal static class RestJson
{
    public static void Time(Utf8JsonWriter json, string name, long ms)
    {
        if (ms == 0)
            json.WriteNull(name);
        else
            json.WriteString(name, TimeText(ms));
    }

    public static string TimeText(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(ms, -62_135_596_800_000, 253_402_300_799_999)).UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);

    public static void Number(Utf8JsonWriter json, string name, double? value)
    {
        json.WritePropertyName(name);
        Value(json, value);
    }

    public static void Value(Utf8JsonWriter json, double? value)
    {
        if (value is not { } number)
            json.WriteNullValue();
        else if (double.IsFinite(number))
            json.WriteNumberValue(number);
        else
            json.WriteStringValue(double.IsNaN(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf");
    }

    public static void Truth(Utf8JsonWriter json, string name, bool? value)
    {
        if (value is { } known)
            json.WriteBoolean(name, known);
        else
            json.WriteNull(name);
    }

    public static void Texts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    public static void Labels(Utf8JsonWriter json, string name, IEnumerable<KeyValuePair<string, string>> labels)
    {
        json.WriteStartObject(name);
        foreach ((string key, string value) in labels)
            json.WriteString(key, value);
        json.WriteEndObject();
    }

    /// <summary>Values over time: <c>[time, value]</c> each.</summary>
    public static void Points(Utf8JsonWriter json, IReadOnlyList<Point> points)
    {
        json.WriteStartArray("points");
        foreach (Point point in points)
        {
            json.WriteStartArray();
            json.WriteStringValue(TimeText(point.TimestampMs));
            Value(json, point.Value);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    public static void Labels(Utf8JsonWriter json, string name, Labels labels)
    {
        json.WriteStartObject(name);
        foreach (ref readonly Label label in labels.AsSpan())
        {
            if (label.Name != LabelNames.MetricName)
                json.WriteString(label.Name, label.Value);
        }
        json.WriteEndObject();
    }

    /// <summary>Results that were corrected after they were told: what was told first, what counts now, and which entries of <c>/api/v1/heals</c> say why.</summary>
    public static void Corrections(Utf8JsonWriter json, IReadOnlyList<Correction> corrections, int all)
    {
        json.WriteNumber("correctionCount", all);
        json.WriteStartArray("corrections");
        foreach (Correction correction in corrections)
        {
            json.WriteStartObject();
            Time(json, "time", correction.TimeMs);
            Labels(json, "labels", correction.Series);
            json.WriteStartArray("values");
            foreach (double? value in correction.Values)
                Value(json, value);
            json.WriteEndArray();
            json.WriteStartArray("heals");
            foreach (ulong heal in correction.Heals)
                json.WriteNumberValue(heal);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>Whether a number is final, and how complete what it stands on is.</summary>
    public static void Finality(Utf8JsonWriter json, Finality? finality)
    {
        if (finality is not { } known)
        {
            json.WriteNull("finality");
            return;
        }
        json.WriteStartObject("finality");
        json.WriteString("state", known.State.ToString().ToLowerInvariant());
        Number(json, "coverage", known.Coverage.Share);
        json.WriteNumber("received", known.Coverage.Received);
        json.WriteNumber("due", known.Coverage.Due);
        json.WriteNumber("sources", known.Coverage.Sources);
        Time(json, "sealsAt", known.SealsAtMs);
        json.WriteEndObject();
    }
}
