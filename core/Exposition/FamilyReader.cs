using System.Globalization;
using System.Runtime.InteropServices;
using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>
/// Reads a whole body into families: for tools, tests and textfiles, not for scraping. Lax as a scrape is, or strict OpenMetrics 1.0. Stateless.
/// </summary>
public static class FamilyReader
{
    /// <summary>Reads a text body. On an error the families so far are given with it.</summary>
    /// <param name="body">The bytes.</param>
    /// <param name="format">One of the text formats.</param>
    /// <param name="families">What was read, in order.</param>
    /// <param name="strict">OpenMetrics only: refuse whatever OpenMetrics 1.0 forbids (grouping, histograms, clashes, units ...).</param>
    /// <returns>Null, or what is wrong.</returns>
    public static ExpositionError? Read(byte[] body, ExpositionFormat format, out List<ExposedFamily> families, bool strict = false)
    {
        families = [];
        bool openMetrics = format == ExpositionFormat.OpenMetricsText;
        var reader = new ExpositionReader { StrictOpenMetrics = strict && openMetrics };
        reader.Reset(body, body.Length, format);
        var check = strict && openMetrics ? new OpenMetricsCheck() : null;
        FamilyDraft? draft = null;
        while (true)
        {
            EntryKind kind = reader.Next();
            if (kind == EntryKind.Error)
                return reader.Error;
            if (kind == EntryKind.Comment)
                continue;
            string name = kind switch
            {
                EntryKind.End => "",
                EntryKind.Sample => reader.MetricName,
                _ => reader.FamilyName,
            };
            bool same = draft is not null && kind != EntryKind.End && (kind == EntryKind.Sample ? draft.Allows(name, openMetrics) : draft.Name == name);
            if (!same && draft is not null)
            {
                if (check?.Close(draft) is { } bad)
                    return reader.ErrorAt(draft.Offset, bad);
                families.Add(draft.ToFamily());
                draft = null;
            }
            if (kind == EntryKind.End)
                return null;
            draft ??= new FamilyDraft(name, kind == EntryKind.Sample ? reader.SeriesStart : Math.Max(0, reader.Position - 1));
            string? refusal = kind == EntryKind.Sample ? AddSample(reader, draft, name, check) : draft.Describe(kind, reader, strict);
            if (refusal is not null)
                return reader.ErrorAt(kind == EntryKind.Sample ? reader.SeriesStart : Math.Max(0, reader.Position - 1), refusal);
        }
    }

    /// <summary>Seconds since 1970 as written, cut to the nanosecond; null when out of range.</summary>
    internal static decimal? Seconds(ReadOnlySpan<byte> text)
    {
        if (!decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out decimal seconds) || Math.Abs(seconds) > 7e19m)
            return null;
        return decimal.Truncate(seconds * 1_000_000_000m) / 1_000_000_000m;
    }

    private static string? AddSample(ExpositionReader reader, FamilyDraft draft, string name, OpenMetricsCheck? check)
    {
        var labels = new List<Label>();
        reader.CopyLabels(labels);
        if (Doubled(labels) is { } doubled)
            return $"the label '{doubled}' is given twice";
        decimal? time = null;
        if (reader.HasTimestamp)
        {
            time = Seconds(reader.TimestampText);
            if (time is null)
                return "the timestamp is out of range";
            if (!draft.OpenMetrics)
                time /= 1000;
        }
        ExposedExemplar? exemplar = null;
        if (reader.HasExemplar)
        {
            var exemplarLabels = new List<Label>();
            reader.CopyExemplarLabels(exemplarLabels);
            if (Doubled(exemplarLabels) is { } twice)
                return $"the exemplar's label '{twice}' is given twice";
            exemplar = new ExposedExemplar(exemplarLabels, reader.ExemplarValue, reader.ExemplarTimestampMs is null ? null : Seconds(reader.ExemplarTimestampText));
        }
        var sample = new ExposedSample(name, labels, reader.Value) { TimestampSeconds = time, Exemplar = exemplar };
        return check is null ? draft.Add(sample) : check.Add(draft, sample);
    }

    private static string? Doubled(List<Label> labels)
    {
        ReadOnlySpan<Label> span = CollectionsMarshal.AsSpan(labels);
        for (int i = 1; i < span.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (span[i].Name == span[j].Name)
                    return span[i].Name;
            }
        }
        return null;
    }
}

/// <summary>A family being read.</summary>
internal sealed class FamilyDraft(string name, int offset)
{
    private MetricType? _type;
    private string? _help;
    private string? _unit;

    public string Name { get; } = name;

    /// <summary>Where it starts in the body.</summary>
    public int Offset { get; } = offset;

    public MetricType Type => _type ?? MetricType.Unknown;

    public string Unit => _unit ?? "";

    public bool OpenMetrics { get; private set; }

    public List<ExposedSample> Samples { get; } = [];

    /// <summary>Whether a sample of that name belongs to it.</summary>
    public bool Allows(string sample, bool openMetrics)
    {
        OpenMetrics = openMetrics;
        foreach (string suffix in Suffixes(Type, openMetrics))
        {
            if (sample.Length == Name.Length + suffix.Length && sample.StartsWith(Name, StringComparison.Ordinal) && sample.EndsWith(suffix, StringComparison.Ordinal))
                return true;
        }
        return false;
    }

    /// <summary>Takes a metadata line; what is wrong with it, or null.</summary>
    public string? Describe(EntryKind kind, ExpositionReader reader, bool strict)
    {
        if (strict && Samples.Count > 0)
            return $"metadata of {Name} after its samples";
        bool again = kind == EntryKind.Type ? _type is not null : kind == EntryKind.Help ? _help is not null : _unit is not null;
        if (strict && again)
            return $"{kind.ToString().ToUpperInvariant()} of {Name} is given twice";
        if (kind == EntryKind.Type)
            _type = reader.Type;
        else if (kind == EntryKind.Help)
            _help = reader.MetaText;
        else
            _unit = reader.MetaText;
        return null;
    }

    public string? Add(ExposedSample sample)
    {
        Samples.Add(sample);
        return null;
    }

    public ExposedFamily ToFamily() => new(Name, Type, _help ?? "", Unit, Samples);

    /// <summary>What a family's samples may have after its name (OpenMetrics 1.0, "Suffixes").</summary>
    public static string[] Suffixes(MetricType type, bool openMetrics) => type switch
    {
        MetricType.Counter => openMetrics ? ["_total", "_created"] : [""],
        MetricType.Summary => openMetrics ? ["", "_count", "_sum", "_created"] : ["", "_count", "_sum"],
        MetricType.Histogram => openMetrics ? ["_bucket", "_count", "_sum", "_created"] : ["_bucket", "_count", "_sum"],
        MetricType.GaugeHistogram => ["_bucket", "_gcount", "_gsum"],
        MetricType.Info => ["_info"],
        _ => [""],
    };
}
