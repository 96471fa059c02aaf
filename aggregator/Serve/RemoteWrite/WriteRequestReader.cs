using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>What a request held beside what went into the batch.</summary>
/// <param name="Malformed">Set when the bytes are no WriteRequest: nothing of it may be taken.</param>
/// <param name="InvalidSamples">Samples refused because their series or histogram is not valid.</param>
/// <param name="FirstInvalid">Why the first one was refused.</param>
internal readonly record struct WriteRequestReport(string? Malformed, int InvalidSamples, string? FirstInvalid);

/// <summary>
/// Decodes <c>prometheus.WriteRequest</c> (remote write 1.0) by hand over the bytes. Series with bad labels are left out and counted; the rest goes into the batch.
/// Keeps memory between requests; not thread-safe.
/// </summary>
internal sealed class WriteRequestReader(RemoteWriteReceiveOptions options)
{
    private readonly TextCache _texts = new();
    private readonly LabelsBuilder _builder = new();
    private readonly HistogramReader _histograms = new();
    private int _invalid;
    private string? _firstInvalid;

    /// <summary>Decodes into the batch.</summary>
    public WriteRequestReport Read(ReadOnlySpan<byte> bytes, SampleBatch into)
    {
        _invalid = 0;
        _firstInvalid = null;
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
                if (into.Samples.Count > options.SamplesMax)
                    return new WriteRequestReport($"more than {options.SamplesMax} samples in one request: send less at once", 0, null);
            }
            else if (!reader.TrySkip(type))
            {
                return Malformed($"field {field}");
            }
        }
        return new WriteRequestReport(null, _invalid, _firstInvalid);
    }

    private static WriteRequestReport Malformed(string where) => new($"the body is no prometheus.WriteRequest: {where} is not valid", 0, null);

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

    private bool Sample(ReadOnlySpan<byte> bytes, Labels? labels, string? invalid, SampleBatch into)
    {
        double value = 0;
        long timestamp = 0;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (field == 1 && type == 1)
            {
                if (!reader.TryDouble(out value))
                    return false;
            }
            else if (field == 2 && type == 0)
            {
                if (!reader.TryVarint(out ulong raw))
                    return false;
                timestamp = (long)raw;
            }
            else if (!reader.TrySkip(type))
            {
                return false;
            }
        }
        if (labels is null)
            Refuse(invalid);
        else
            into.Samples.Add(new SeriesSample(labels, timestamp, value));
        return true;
    }

    private bool Histogram(ReadOnlySpan<byte> bytes, Labels? labels, string? invalid, SampleBatch into)
    {
        if (!_histograms.TryRead(bytes, out NativeHistogram? histogram, out long timestamp, out string? wrong))
            return false;
        if (labels is null || histogram is null)
            Refuse(labels is null ? invalid : $"histogram of {labels}: {wrong}");
        else
            into.Samples.Add(new SeriesSample(labels, timestamp, 0, histogram));
        return true;
    }

    private bool ReadExemplar(ReadOnlySpan<byte> bytes, Labels? labels, SampleBatch into)
    {
        if (!TryLabels(bytes, out Labels? own, out _))
            return false;
        double value = 0;
        long timestamp = 0;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (field == 2 && type == 1)
            {
                if (!reader.TryDouble(out value))
                    return false;
            }
            else if (field == 3 && type == 0)
            {
                if (!reader.TryVarint(out ulong raw))
                    return false;
                timestamp = (long)raw;
            }
            else if (!reader.TrySkip(type))
            {
                return false;
            }
        }
        if (labels is not null && own is not null)
            into.Exemplars.Add((labels, new Exemplar(own, value, timestamp)));
        return true;
    }

    /// <summary>Reads field 1 of a message as labels. False: malformed. Null with a reason: well-formed, but no valid label set.</summary>
    private bool TryLabels(ReadOnlySpan<byte> message, out Labels? labels, out string? invalid)
    {
        labels = null;
        invalid = null;
        _builder.Reset();
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
            invalid = Check(name, value, count);
            if (invalid is null)
                _builder.Set(name!, value!);
        }
        if (invalid is null)
            labels = _builder.Build();
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
                string? read = _texts.TryGet(text, out string found) ? found : null;
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

    private string? Check(string? name, string? value, int count)
    {
        if (name is null || value is null)
            return "a label is not valid UTF-8";
        if (name.Length == 0)
            return "a label has an empty name";
        if (count > options.LabelsMax)
            return $"a series has more than {options.LabelsMax} labels";
        if (name.Length > options.LabelNameMax)
            return $"a label name is longer than {options.LabelNameMax} characters";
        if (value.Length > options.LabelValueMax)
            return $"the value of label '{name}' is longer than {options.LabelValueMax} characters";
        return value.Length > 0 && _builder.Get(name).Length > 0 ? $"label '{name}' is there twice" : null;
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
                string? read = _texts.TryGet(text, out string found) ? found : null;
                family = field == 2 ? read : family;
                help = field == 4 ? read : help;
                unit = field == 5 ? read : unit;
            }
            else if (!reader.TrySkip(type))
            {
                return "metadata";
            }
        }
        if (family is { Length: > 0 } && family.Length <= options.LabelValueMax && help is not null && help.Length <= options.HelpMax && unit is not null && unit.Length <= options.LabelNameMax)
            into.Metadata.Add((family, new MetricMetadata(kind <= 7 ? (MetricType)kind : MetricType.Unknown, help, unit)));
        return null;
    }

    private void Refuse(string? reason)
    {
        _invalid++;
        _firstInvalid ??= reason;
    }
}
