using System.Buffers.Text;
using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Exposition;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;

namespace Bellwether.Serve.QueryApi;

/// <summary>Writes values in Prometheus' JSON, to the byte where it is fixed. Source: prometheus.io/docs/prometheus/latest/querying/api/.</summary>
internal sealed class ApiJson(Utf8JsonWriter json)
{
    public Utf8JsonWriter Json => json;

    /// <summary>A query result with its type; <paramref name="timeMs"/> is the evaluation's, which a text has no place for.</summary>
    public void Result(QueryResult result, long timeMs, Action? stats, int seriesMax = int.MaxValue)
    {
        json.WriteStartObject();
        json.WriteString("resultType", result.Type switch
        {
            Evaluate.PromQl.ValueType.Scalar => "scalar",
            Evaluate.PromQl.ValueType.Vector => "vector",
            Evaluate.PromQl.ValueType.Matrix => "matrix",
            _ => "string",
        });
        json.WritePropertyName("result");
        switch (result.Type)
        {
            case Evaluate.PromQl.ValueType.Scalar:
                FloatPoint(result.Scalar);
                break;
            case Evaluate.PromQl.ValueType.String:
                json.WriteStartArray();
                Timestamp(timeMs);
                json.WriteStringValue(result.Text);
                json.WriteEndArray();
                break;
            default:
                json.WriteStartArray();
                foreach (ResultSeries series in result.Series.Take(seriesMax))
                    Series(series, single: result.Type == Evaluate.PromQl.ValueType.Vector);
                json.WriteEndArray();
                break;
        }
        stats?.Invoke();
        json.WriteEndObject();
    }

    /// <summary>A label set as an object.</summary>
    public void Labels(Labels labels)
    {
        json.WriteStartObject();
        foreach (ref readonly Label label in labels.AsSpan())
            json.WriteString(label.Name, label.Value);
        json.WriteEndObject();
    }

    /// <summary>Seconds with as many of three decimals as needed: none, or three.</summary>
    public void Timestamp(long ms)
    {
        Span<byte> text = stackalloc byte[32];
        int n = 0;
        if (ms < 0)
        {
            text[n++] = (byte)'-';
            ms = -ms;
        }
        _ = Utf8Formatter.TryFormat(ms / 1000, text[n..], out int written);
        n += written;
        long fraction = ms % 1000;
        if (fraction != 0)
        {
            text[n++] = (byte)'.';
            text[n++] = (byte)('0' + (fraction / 100));
            text[n++] = (byte)('0' + (fraction / 10 % 10));
            text[n++] = (byte)('0' + (fraction % 10));
        }
        json.WriteRawValue(text[..n], skipInputValidation: true);
    }

    /// <summary>A float as a string: plain digits between 1e-6 and 1e21, else with an exponent.</summary>
    public void Float(double value)
    {
        Span<byte> text = stackalloc byte[400];
        json.WriteStringValue(text[..FormatFloat(value, text)]);
    }

    /// <summary>Go's strconv 'f' with the fewest digits, or 'e' below 1e-6 and from 1e21 on.</summary>
    public static int FormatFloat(double value, Span<byte> into)
    {
        double magnitude = Math.Abs(value);
        // Within these bounds the shortest 'g' form has no exponent and equals 'f'.
        if (magnitude is 0 or >= 1e-4 and < 1e6 || !double.IsFinite(value) || magnitude is < 1e-6 or >= 1e21)
            return FloatText.Format(value, into);
        // 'g' would write an exponent here: spread its digits.
        Span<byte> text = stackalloc byte[40];
        int length = FloatText.Format(magnitude, text);
        int e = text[..length].IndexOf((byte)'e');
        int n = 0;
        if (value < 0)
            into[n++] = (byte)'-';
        if (e < 0)
        {
            text[..length].CopyTo(into[n..]);
            return n + length;
        }
        int exponent = int.Parse(text[(e + 1)..length], CultureInfo.InvariantCulture);
        Span<byte> digits = stackalloc byte[32];
        int count = 0;
        foreach (byte b in text[..e])
        {
            if (b != '.')
                digits[count++] = b;
        }
        if (exponent < 0)
        {
            into[n++] = (byte)'0';
            into[n++] = (byte)'.';
            into.Slice(n, -exponent - 1).Fill((byte)'0');
            n += -exponent - 1;
            digits[..count].CopyTo(into[n..]);
            return n + count;
        }
        for (int i = 0; i <= exponent || i < count; i++)
        {
            if (i == exponent + 1)
                into[n++] = (byte)'.';
            into[n++] = i < count ? digits[i] : (byte)'0';
        }
        return n;
    }

    private void Series(ResultSeries series, bool single)
    {
        json.WriteStartObject();
        json.WritePropertyName("metric");
        Labels(series.Labels);
        if (single)
        {
            Point point = series.Points[0];
            json.WritePropertyName(point.Histogram is null ? "value" : "histogram");
            OnePoint(point);
        }
        else
        {
            Points(series.Points, "values", histograms: false);
            Points(series.Points, "histograms", histograms: true);
        }
        json.WriteEndObject();
    }

    private void Points(IReadOnlyList<Point> points, string name, bool histograms)
    {
        bool open = false;
        for (int i = 0; i < points.Count; i++)
        {
            if (points[i].Histogram is not null != histograms)
                continue;
            if (!open)
                json.WriteStartArray(name);
            open = true;
            OnePoint(points[i]);
        }
        if (open)
            json.WriteEndArray();
    }

    private void OnePoint(Point point)
    {
        if (point.Histogram is null)
        {
            FloatPoint(point);
            return;
        }
        json.WriteStartArray();
        Timestamp(point.TimestampMs);
        HistogramJson.Write(this, point.Histogram);
        json.WriteEndArray();
    }

    private void FloatPoint(Point point)
    {
        json.WriteStartArray();
        Timestamp(point.TimestampMs);
        Float(point.Value);
        json.WriteEndArray();
    }
}
