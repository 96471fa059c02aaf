using Bellwether.Core.Model;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Encodes <c>prometheus.WriteRequest</c> (remote write 1.0) by hand.</summary>
/// <param name="withStart">Samples and histograms say their start times too, as the forward queue wants them. The specification has no place for them: never send that.</param>
internal sealed class WriteRequestWriter(bool withStart = false) : RequestWriter
{
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
        OneSeries.ResetWrittenCount();
        foreach (ref readonly Label label in samples[0].Labels.AsSpan())
        {
            Part.ResetWrittenCount();
            Text(Part, 1, label.Name);
            Text(Part, 2, label.Value);
            Nested(OneSeries, 1, Part);
        }
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
}
