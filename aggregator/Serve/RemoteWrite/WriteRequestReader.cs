using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Decodes <c>prometheus.WriteRequest</c> (remote write 1.0) by hand over the bytes. The forward queue keeps its samples in the same form, with a start time as field 3 of a sample.
/// Source: prometheus.io/docs/specs/prw/remote_write_spec/.
/// </summary>
internal sealed class WriteRequestReader(RemoteWriteReceiveOptions options) : RequestReader(options)
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
        // Labels may stand behind the samples: read them first.
        if (!TryLabels(bytes, out Labels? labels, out string? invalid))
            return "a time series";
        if (labels is not null && labels.MetricName.Length == 0)
        {
            invalid = $"series {labels} has no metric name";
            labels = null;
        }
        var reader = new WireReader(bytes);
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
