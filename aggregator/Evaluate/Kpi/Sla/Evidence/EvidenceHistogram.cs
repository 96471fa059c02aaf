using System.Globalization;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Model;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>A native histogram as a value of <c>series.txt</c>: <c>h</c> and JSON without spaces (docs/formats/evidence.md).</summary>
internal static class EvidenceHistogram
{
    private const char Mark = 'h';
    private const int BucketsMax = 100_000;
    private const int OffsetMax = 1 << 24;

    public static bool IsOne(string text) => text.Length > 1 && text[0] == Mark && text[1] == '{';

    public static string Text(NativeHistogram histogram)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("schema", histogram.Schema);
            json.WriteNumber("reset", (int)histogram.ResetHint);
            json.WriteBoolean("integer", histogram.IsInteger);
            Write(json, "zeroThreshold", histogram.ZeroThreshold);
            Write(json, "zeroCount", histogram.ZeroCount);
            Write(json, "count", histogram.Count);
            Write(json, "sum", histogram.Sum);
            Write(json, "positiveSpans", histogram.PositiveSpans);
            Write(json, "positiveBuckets", histogram.PositiveBuckets);
            Write(json, "negativeSpans", histogram.NegativeSpans);
            Write(json, "negativeBuckets", histogram.NegativeBuckets);
            Write(json, "customValues", histogram.CustomValues);
            json.WriteEndObject();
        }
        return Mark + Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>Reads one; null: it is none, or one that cannot be.</summary>
    public static NativeHistogram? Read(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text.AsMemory(1), new JsonDocumentOptions { MaxDepth = 3, AllowDuplicateProperties = false });
            JsonElement root = document.RootElement;
            var histogram = new NativeHistogram
            {
                Schema = root.GetProperty("schema").GetInt32(),
                ResetHint = (CounterResetHint)root.GetProperty("reset").GetInt32(),
                IsInteger = root.GetProperty("integer").GetBoolean(),
                ZeroThreshold = Number(root.GetProperty("zeroThreshold")),
                ZeroCount = Number(root.GetProperty("zeroCount")),
                Count = Number(root.GetProperty("count")),
                Sum = Number(root.GetProperty("sum")),
                PositiveSpans = Spans(root.GetProperty("positiveSpans")),
                PositiveBuckets = Numbers(root.GetProperty("positiveBuckets")),
                NegativeSpans = Spans(root.GetProperty("negativeSpans")),
                NegativeBuckets = Numbers(root.GetProperty("negativeBuckets")),
                CustomValues = Numbers(root.GetProperty("customValues")),
            };
            return IsGood(histogram) ? histogram : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException or OverflowException)
        {
            return null;
        }
    }

    private static bool IsGood(NativeHistogram h)
    {
        bool isCustom = h.Schema == NativeHistogram.CustomBucketsSchema;
        for (int i = 1; i < h.CustomValues.Length; i++)
        {
            if (!(h.CustomValues[i] > h.CustomValues[i - 1]))
                return false;
        }
        return (isCustom || h.Schema is >= -4 and <= 8) && Enum.IsDefined(h.ResetHint) && (isCustom ? h.NegativeSpans.Length == 0 : h.CustomValues.Length == 0)
            && Fit(h.PositiveSpans, h.PositiveBuckets) && Fit(h.NegativeSpans, h.NegativeBuckets);
    }

    private static bool Fit(BucketSpan[] spans, double[] buckets)
    {
        long length = 0;
        for (int i = 0; i < spans.Length; i++)
        {
            if (spans[i].Length < 0 || Math.Abs((long)spans[i].Offset) > OffsetMax || (i > 0 && spans[i].Offset < 0))
                return false;
            length += spans[i].Length;
        }
        return length == buckets.Length && length <= BucketsMax;
    }

    private static void Write(Utf8JsonWriter json, string name, BucketSpan[] spans)
    {
        json.WriteStartArray(name);
        foreach (BucketSpan span in spans)
        {
            json.WriteNumberValue(span.Offset);
            json.WriteNumberValue(span.Length);
        }
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, double[] values)
    {
        json.WriteStartArray(name);
        foreach (double value in values)
            Write(json, value);
        json.WriteEndArray();
    }

    private static void Write(Utf8JsonWriter json, string name, double value)
    {
        json.WritePropertyName(name);
        Write(json, value);
    }

    private static void Write(Utf8JsonWriter json, double value)
    {
        if (double.IsFinite(value))
            json.WriteNumberValue(value);
        else
            json.WriteStringValue(BitConverter.DoubleToUInt64Bits(value).ToString("x16", CultureInfo.InvariantCulture));
    }

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.String
        ? BitConverter.UInt64BitsToDouble(ulong.Parse(value.GetString()!, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
        : value.GetDouble();

    private static double[] Numbers(JsonElement values) => [.. values.EnumerateArray().Select(Number)];

    private static BucketSpan[] Spans(JsonElement values)
    {
        int[] all = [.. values.EnumerateArray().Select(v => v.GetInt32())];
        if (all.Length % 2 != 0)
            throw new FormatException("a span has an offset and a length");
        return [.. Enumerable.Range(0, all.Length / 2).Select(i => new BucketSpan(all[2 * i], all[(2 * i) + 1]))];
    }
}
