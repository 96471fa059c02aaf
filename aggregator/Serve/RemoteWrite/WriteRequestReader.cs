using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Decodes <c>prometheus.WriteRequest</c> (remote write 1.0) by hand over the bytes. The forward queue keeps its samples in the same form, with a start time as field 3 of a sample.
/// Source: prometheus.io/docs/specs/prw/remote_write_spec/.
/// </summary>
/// <param name="options">Limits.</param>
/// <param name="cache">Knows the label sets that come again; null: none.</param>
internal sealed class WriteRequestReader(RemoteWriteReceiveOptions options, SeriesCache? cache = null) : RequestReader(options)
{
    /// <inheritdoc/>
    public override WriteRequestReport Read(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        Begin();
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return Malformed("a field key");
            if (type == 2 && field is 1 or 3)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> part))
                    return Malformed("a length");
                string? wrong = field == 1 ? Series(part, into) : Metadata(part, into);
                if (wrong is not null)
                    return Malformed(wrong);
                if (OverLimit(into) is { } over)
                    return over;
            }
            else if (!reader.TrySkip(type))
            {
                return Malformed($"field {field}");
            }
        }
        return Report();
    }

    private static WriteRequestReport Malformed(string where) => new($"the body is no prometheus.WriteRequest: {where} is not valid", 0, 0, null);

    private string? Series(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        if (!TrySeries(bytes, out Labels? labels, out string? invalid, out int rest))
            return "a time series";
        var reader = new WireReader(bytes[rest..]);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return "a time series";
            if (type != 2)
            {
                if (!reader.TrySkip(type))
                    return "a time series";
                continue;
            }
            if (!reader.TryBytes(out ReadOnlySpan<byte> part))
                return "a time series";
            bool ok = field switch
            {
                2 => Sample(part, labels, invalid, into),
                3 => ReadExemplar(part, labels, into),
                4 => Histogram(part, labels, invalid, into),
                _ => true,
            };
            if (!ok)
                return field switch { 2 => "a sample", 3 => "an exemplar", _ => "a histogram" };
        }
        return null;
    }

    // Labels may stand behind the samples: they are read first. Where all stand before, as senders write them, their bytes are looked up as a whole.
    private bool TrySeries(ReadOnlySpan<byte> bytes, out Labels? labels, out string? invalid, out int rest)
    {
        invalid = null;
        rest = LabelsEnd(bytes, out bool isWhole);
        (ulong Slot, ulong Check) hash = default;
        bool isCacheable = isWhole && cache is not null;
        if (isCacheable && (labels = cache!.Find(bytes[..rest], out hash)) is not null)
            return true;
        if (!TryLabels(bytes, out labels, out invalid))
            return false;
        if (labels is not null && labels.MetricName.Length == 0)
        {
            invalid = $"series {labels} has no metric name";
            labels = null;
        }
        if (isCacheable && labels is not null)
            cache!.Remember(hash, labels);
        return true;
    }

    /// <summary>Where the labels at the beginning of a series end.</summary>
    /// <param name="bytes">The series.</param>
    /// <param name="isWhole">No labels follow further behind, and all of it is well-formed.</param>
    private static int LabelsEnd(ReadOnlySpan<byte> bytes, out bool isWhole)
    {
        isWhole = false;
        bool isBehind = false;
        var reader = new WireReader(bytes);
        reader.SkipRun(1);
        int end = bytes.Length - reader.Left;
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type) || !reader.TrySkip(type))
                return 0;
            bool isLabel = field == 1 && type == 2;
            if (isLabel && isBehind)
                return 0;
            isBehind |= !isLabel;
            if (isLabel)
                end = bytes.Length - reader.Left;
        }
        isWhole = end > 0;
        return end;
    }

    private bool ReadExemplar(ReadOnlySpan<byte> bytes, Labels? labels, SampleBatch into)
    {
        if (!TryLabels(bytes, out Labels? own, out _))
            return false;
        if (!TryPoint(bytes, out double value, out long timestamp, out _, valueField: 2))
            return false;
        if (labels is not null && own is not null)
            into.Exemplars.Add((labels, new Exemplar(own, value, timestamp)));
        return true;
    }

    /// <summary>Reads field 1 of a message as labels. False: malformed. Null with a reason: well-formed, but no valid label set.</summary>
    private bool TryLabels(ReadOnlySpan<byte> message, out Labels? labels, out string? invalid)
    {
        labels = null;
        invalid = null;
        Builder.Reset();
        var reader = new WireReader(message);
        int count = 0;
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (field != 1 || type != 2)
            {
                if (!reader.TrySkip(type))
                    return false;
                continue;
            }
            if (!reader.TryBytes(out ReadOnlySpan<byte> bytes))
                return false;
            // Once it is refused nothing more of it is kept: a series may claim millions of labels.
            if (invalid is not null)
                continue;
            if (!TryLabel(bytes, out string? name, out string? value))
                return false;
            count++;
            invalid = Take(name, value, count);
        }
        if (invalid is null)
            labels = Builder.Build();
        return true;
    }

    private bool TryLabel(ReadOnlySpan<byte> bytes, out string? name, out string? value)
    {
        name = value = "";
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (type == 2 && field is 1 or 2)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> text))
                    return false;
                string? read = Texts.TryGet(text, out string found) ? found : null;
                if (field == 1)
                    name = read;
                else
                    value = read;
            }
            else if (!reader.TrySkip(type))
            {
                return false;
            }
        }
        return true;
    }

    private string? Metadata(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        ulong kind = 0;
        string? family = "", help = "", unit = "";
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return "metadata";
            if (field == 1 && type == 0)
            {
                if (!reader.TryVarint(out kind))
                    return "metadata";
            }
            else if (type == 2 && field is 2 or 4 or 5)
            {
                if (!reader.TryBytes(out ReadOnlySpan<byte> text))
                    return "metadata";
                string? read = Texts.TryGet(text, out string found) ? found : null;
                family = field == 2 ? read : family;
                help = field == 4 ? read : help;
                unit = field == 5 ? read : unit;
            }
            else if (!reader.TrySkip(type))
            {
                return "metadata";
            }
        }
        Describe(family, kind, help, unit, into);
        return null;
    }
}
