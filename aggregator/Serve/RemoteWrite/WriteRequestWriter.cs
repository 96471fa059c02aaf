using System.Buffers;
using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Encodes <c>prometheus.WriteRequest</c> (remote write 1.0) by hand.</summary>
/// <param name="withStart">Samples and histograms say their start times too, as the forward queue wants them. The specification has no place for them: never send that.</param>
internal sealed class WriteRequestWriter(bool withStart = false) : RequestWriter
{
    private readonly ArrayBufferWriter<byte> _label = new(256);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes => Request.WrittenSpan;

    /// <summary>Adds the description of a family.</summary>
    public void Add(string family, MetricMetadata metadata)
    {
        OneSeries.ResetWrittenCount();
        Field(OneSeries, 1, (ulong)metadata.Type);
        Text(OneSeries, 2, family);
        Text(OneSeries, 4, metadata.Help);
        Text(OneSeries, 5, metadata.Unit);
        Nested(Request, 3, OneSeries);
    }

    protected override void Series(ReadOnlySpan<SeriesSample> samples)
    {
        BeginSeries(samples[0].Labels);
        foreach (ref readonly SeriesSample sample in samples)
        {
            Part.ResetWrittenCount();
            if (sample.Histogram is { } histogram)
            {
                Histogram(histogram, sample.TimestampMs, withStart ? sample.StartMs : 0);
                Nested(OneSeries, 4, Part);
                continue;
            }
            Double(Part, 1, sample.Value);
            Field(Part, 2, (ulong)sample.TimestampMs);
            if (withStart)
                Field(Part, 3, (ulong)sample.StartMs);
            Nested(OneSeries, 2, Part);
        }
        Nested(Request, 1, OneSeries);
    }

    protected override void Series(ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
    {
        BeginSeries(exemplars[0].Labels);
        foreach ((_, Exemplar exemplar) in exemplars)
        {
            Part.ResetWrittenCount();
            LabelsOf(exemplar.Labels, Part);
            Double(Part, 2, exemplar.Value);
            Field(Part, 3, (ulong)(exemplar.TimestampMs ?? 0));
            Nested(OneSeries, 3, Part);
        }
        Nested(Request, 1, OneSeries);
    }

    private void BeginSeries(Labels labels)
    {
        OneSeries.ResetWrittenCount();
        LabelsOf(labels, OneSeries);
    }

    private void LabelsOf(Labels labels, ArrayBufferWriter<byte> into)
    {
        foreach (ref readonly Label label in labels.AsSpan())
        {
            _label.ResetWrittenCount();
            Text(_label, 1, label.Name);
            Text(_label, 2, label.Value);
            Nested(into, 1, _label);
        }
    }
}
