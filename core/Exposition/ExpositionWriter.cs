using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>
/// Writes families in the Prometheus text format 0.0.4 or OpenMetrics 1.0. Names outside the classic alphabet are written quoted (text 1.0). A counter may be
/// named with or without _total: each format gets its own form. Exemplars and units go to OpenMetrics only. Stateless.
/// </summary>
public static class ExpositionWriter
{
    private const string TotalSuffix = "_total";

    /// <summary>Writes all families; in OpenMetrics also the final # EOF.</summary>
    public static void Write(IBufferWriter<byte> output, IEnumerable<ExposedFamily> families, ExpositionFormat format)
    {
        foreach (ExposedFamily family in families)
            WriteFamily(output, family, format);
        if (format == ExpositionFormat.OpenMetricsText)
            output.Write("# EOF\n"u8);
    }

    /// <summary>The content type to send with a format.</summary>
    public static string ContentType(ExpositionFormat format) => format == ExpositionFormat.OpenMetricsText ? ExpositionContent.OpenMetricsType : ExpositionContent.TextType;

    /// <summary>Writes one family, without the # EOF that ends OpenMetrics.</summary>
    public static void WriteFamily(IBufferWriter<byte> output, ExposedFamily family, ExpositionFormat format)
    {
        bool openMetrics = format == ExpositionFormat.OpenMetricsText;
        string name = family.Name;
        bool total = name.EndsWith(TotalSuffix, StringComparison.Ordinal);
        if (openMetrics && total && family.Type == MetricType.Counter)
            name = name[..^TotalSuffix.Length];
        // The text format has the type on the name that the samples have.
        if (!openMetrics && !total && family.Type == MetricType.Counter && family.Samples.Any(s => s.Name == family.Name + TotalSuffix))
            name += TotalSuffix;
        if (family.Help.Length > 0)
            WriteMeta(output, "# HELP "u8, name, family.Help, openMetrics);
        WriteMeta(output, "# TYPE "u8, name, TypeWord(family.Type, openMetrics), openMetrics);
        if (openMetrics && family.Unit.Length > 0)
            WriteMeta(output, "# UNIT "u8, name, family.Unit, openMetrics);
        foreach (ExposedSample sample in family.Samples)
            WriteSample(output, sample, openMetrics);
    }

    private static void WriteMeta(IBufferWriter<byte> output, ReadOnlySpan<byte> word, string name, string text, bool openMetrics)
    {
        output.Write(word);
        if (Labels.IsLegacyMetricName(name))
            WriteText(output, name);
        else
            WriteQuoted(output, name);
        output.Write(" "u8);
        foreach (Rune rune in text.EnumerateRunes())
            WriteEscaped(output, rune, quotes: openMetrics);
        output.Write("\n"u8);
    }

    private static void WriteSample(IBufferWriter<byte> output, ExposedSample sample, bool openMetrics)
    {
        bool plain = Labels.IsLegacyMetricName(sample.Name);
        if (plain)
            WriteText(output, sample.Name);
        WriteLabels(output, plain ? null : sample.Name, sample.Labels, always: false);
        output.Write(" "u8);
        WriteFloat(output, sample.Value);
        if (sample.TimestampSeconds is decimal seconds)
        {
            output.Write(" "u8);
            if (openMetrics)
                WriteText(output, seconds.ToString("0.#########", CultureInfo.InvariantCulture));
            else
                WriteInteger(output, (long)decimal.Truncate(seconds * 1000));
        }
        if (openMetrics && sample.Exemplar is { } exemplar)
        {
            output.Write(" # "u8);
            WriteLabels(output, null, exemplar.Labels, always: true);
            output.Write(" "u8);
            WriteFloat(output, exemplar.Value);
            if (exemplar.TimestampSeconds is decimal at)
                WriteText(output, at.ToString(" 0.#########", CultureInfo.InvariantCulture));
        }
        output.Write("\n"u8);
    }

    private static void WriteLabels(IBufferWriter<byte> output, string? quotedName, IReadOnlyList<Label> labels, bool always)
    {
        if (labels.Count == 0 && quotedName is null && !always)
            return;
        output.Write("{"u8);
        bool first = true;
        if (quotedName is not null)
        {
            WriteQuoted(output, quotedName);
            first = false;
        }
        foreach (Label label in labels)
        {
            if (!first)
                output.Write(","u8);
            first = false;
            if (Labels.IsLegacyLabelName(label.Name))
                WriteText(output, label.Name);
            else
                WriteQuoted(output, label.Name);
            output.Write("="u8);
            WriteQuoted(output, label.Value);
        }
        output.Write("}"u8);
    }

    private static string TypeWord(MetricType type, bool openMetrics) => type switch
    {
        MetricType.Counter => "counter",
        MetricType.Gauge => "gauge",
        MetricType.Histogram => "histogram",
        MetricType.Summary => "summary",
        MetricType.GaugeHistogram when openMetrics => "gaugehistogram",
        MetricType.Info => openMetrics ? "info" : "gauge",
        MetricType.StateSet => openMetrics ? "stateset" : "gauge",
        _ => openMetrics ? "unknown" : "untyped",
    };

    private static void WriteQuoted(IBufferWriter<byte> output, string text)
    {
        output.Write("\""u8);
        if (text.AsSpan().IndexOfAny('\\', '"', '\n') < 0)
        {
            WriteText(output, text);
        }
        else
        {
            foreach (Rune rune in text.EnumerateRunes())
                WriteEscaped(output, rune, quotes: true);
        }
        output.Write("\""u8);
    }

    private static void WriteEscaped(IBufferWriter<byte> output, Rune rune, bool quotes)
    {
        switch (rune.Value)
        {
            case '\\':
                output.Write("\\\\"u8);
                break;
            case '\n':
                output.Write("\\n"u8);
                break;
            case '"' when quotes:
                output.Write("\\\""u8);
                break;
            default:
                output.Advance(rune.EncodeToUtf8(output.GetSpan(4)));
                break;
        }
    }

    private static void WriteText(IBufferWriter<byte> output, string text) => Encoding.UTF8.GetBytes(text, output);

    private static void WriteFloat(IBufferWriter<byte> output, double value) => output.Advance(FloatText.Format(value, output.GetSpan(40)));

    private static void WriteInteger(IBufferWriter<byte> output, long value)
    {
        _ = Utf8Formatter.TryFormat(value, output.GetSpan(24), out int written);
        output.Advance(written);
    }
}
