using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>What a request held beside what went into the batch.</summary>
/// <param name="Malformed">Set when the bytes are no such message: nothing of it may be taken.</param>
/// <param name="InvalidSamples">Samples refused because their series or histogram is not valid.</param>
/// <param name="InvalidHistograms">How many of these are native histograms.</param>
/// <param name="FirstInvalid">Why the first one was refused.</param>
internal readonly record struct WriteRequestReport(string? Malformed, int InvalidSamples, int InvalidHistograms, string? FirstInvalid);

/// <summary>
/// What the readers of both versions share: one walk over the bytes, limits before anything is kept, series with bad labels left out and counted. Keeps memory between
/// requests; not thread-safe.
/// </summary>
internal abstract class RequestReader(RemoteWriteReceiveOptions options)
{
    private long _labelChars;
    private int _invalid;
    private int _invalidHistograms;
    private string? _firstInvalid;

    protected RemoteWriteReceiveOptions Options { get; } = options;

    protected TextCache Texts { get; } = new();

    protected LabelsBuilder Builder { get; } = new();

    private HistogramReader Histograms { get; } = new();

    /// <summary>Decodes into the batch.</summary>
    public abstract WriteRequestReport Read(ReadOnlySpan<byte> bytes, SampleBatch into);

    protected void Begin()
    {
        _labelChars = 0;
        _invalid = _invalidHistograms = 0;
        _firstInvalid = null;
    }

    protected WriteRequestReport Report() => new(null, _invalid, _invalidHistograms, _firstInvalid);

    /// <summary>The answer when the request holds more than it may; null: it may go on.</summary>
    protected WriteRequestReport? OverLimit(SampleBatch batch)
    {
        string? what = batch.Samples.Count > Options.SamplesMax ? $"{Options.SamplesMax} samples"
            : batch.Exemplars.Count > Options.ExemplarsMax ? $"{Options.ExemplarsMax} exemplars"
            : batch.Metadata.Count > Options.MetadataMax ? $"{Options.MetadataMax} metadata"
            : _labelChars > Options.LabelCharsMax ? $"{Options.LabelCharsMax} characters of labels"
            : null;
        return what is null ? null : new WriteRequestReport($"more than {what} in one request: send less at once", 0, 0, null);
    }

    protected void Refuse(string? reason, bool histogram = false)
    {
        _invalid++;
        _invalidHistograms += histogram ? 1 : 0;
        _firstInvalid ??= reason;
    }

    protected bool Sample(ReadOnlySpan<byte> bytes, Labels? labels, string? invalid, SampleBatch into)
    {
        if (!TryPoint(bytes, out double value, out long timestamp, out long start))
            return false;
        if (labels is null)
            Refuse(invalid);
        else
            into.Samples.Add(new SeriesSample(labels, timestamp, value, null, start));
        return true;
    }

    protected bool Histogram(ReadOnlySpan<byte> bytes, Labels? labels, string? invalid, SampleBatch into)
    {
        if (!Histograms.TryRead(bytes, out NativeHistogram? histogram, out long timestamp, out long start, out string? wrong))
            return false;
        if (labels is null || histogram is null)
            Refuse(labels is null ? invalid : $"histogram of {labels}: {wrong}", histogram: true);
        else
            into.Samples.Add(new SeriesSample(labels, timestamp, 0, histogram, start));
        return true;
    }

    /// <summary>Reads [1 or 2: value f64][2 or 3: time][3: start time], as samples (value first) and exemplars (labels first) have them.</summary>
    protected static bool TryPoint(ReadOnlySpan<byte> bytes, out double value, out long timestamp, out long start, int valueField = 1)
    {
        value = 0;
        timestamp = start = 0;
        var reader = new WireReader(bytes);
        while (!reader.AtEnd)
        {
            if (!reader.TryField(out int field, out int type))
                return false;
            if (field == valueField && type == 1)
            {
                if (!reader.TryDouble(out value))
                    return false;
            }
            else if (type == 0 && field > valueField)
            {
                if (!reader.TryVarint(out ulong raw))
                    return false;
                if (field == valueField + 1)
                    timestamp = (long)raw;
                else if (field == valueField + 2)
                    start = (long)raw;
            }
            else if (!reader.TrySkip(type))
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>Takes a label into the builder, or says why its series is not valid.</summary>
    protected string? Take(string? name, string? value, int count)
    {
        if (name is null || value is null)
            return "a label is not valid UTF-8";
        if (name.Length == 0)
            return "a label has an empty name";
        if (name == Revision.Label)
            return $"label '{Revision.Label}' is for corrected results of this aggregator";
        if (count > Options.LabelsMax)
            return $"a series has more than {Options.LabelsMax} labels";
        if (name.Length > Options.LabelNameMax)
            return $"a label name is longer than {Options.LabelNameMax} characters";
        if (value.Length > Options.LabelValueMax)
            return $"the value of label '{name}' is longer than {Options.LabelValueMax} characters";
        if (value.Length > 0 && Builder.Get(name).Length > 0)
            return $"label '{name}' is there twice";
        _labelChars += name.Length + value.Length;
        Builder.Set(name, value);
        return null;
    }

    protected void Describe(string? family, ulong kind, string? help, string? unit, SampleBatch into)
    {
        if (family is { Length: > 0 } && family.Length <= Options.LabelValueMax && help is not null && help.Length <= Options.HelpMax && unit is not null && unit.Length <= Options.LabelNameMax)
            into.Metadata.Add((family, new MetricMetadata(kind <= (ulong)MetricType.StateSet ? (MetricType)kind : MetricType.Unknown, help, unit)));
    }
}
