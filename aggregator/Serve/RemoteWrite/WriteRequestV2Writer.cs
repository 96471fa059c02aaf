using System.Buffers;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Serve.QueryApi;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>
/// Encodes <c>io.prometheus.write.v2.Request</c> (remote write 2.0-rc.4) by hand: each text once in the symbols, metadata and start times in line with their series.
/// Source: prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
/// </summary>
/// <param name="metadata">What is known of a family; by the series' own name first, then by the name without a histogram's or summary's suffix.</param>
internal sealed class WriteRequestV2Writer(Func<IReadOnlyDictionary<string, MetricMetadata>> metadata) : RequestWriter
{
    private readonly Dictionary<string, uint> _refs = [];
    private readonly ArrayBufferWriter<byte> _symbols = new(16 * 1024);
    private readonly ArrayBufferWriter<byte> _whole = new(64 * 1024);
    private readonly ArrayBufferWriter<byte> _labelRefs = new(256);
    private IReadOnlyDictionary<string, MetricMetadata>? _known;

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> Bytes
    {
        get
        {
            _whole.ResetWrittenCount();
            _whole.Write(_symbols.WrittenSpan);
            _whole.Write(Request.WrittenSpan);
            return _whole.WrittenSpan;
        }
    }

    /// <inheritdoc/>
    public override void Clear()
    {
        base.Clear();
        _symbols.ResetWrittenCount();
        _refs.Clear();
        _known = null;
        Ref("");
    }

    /// <summary>A time series of 2.0 holds samples or histograms, never both.</summary>
    protected override bool Together(in SeriesSample first, in SeriesSample next) => first.Histogram is null == next.Histogram is null;

    protected override void Series(ReadOnlySpan<SeriesSample> samples)
    {
        OneSeries.ResetWrittenCount();
        LabelRefs(samples[0].Labels, OneSeries);
        foreach (ref readonly SeriesSample sample in samples)
        {
            Part.ResetWrittenCount();
            if (sample.Histogram is { } histogram)
            {
                Histogram(histogram, sample.TimestampMs, sample.StartMs);
                Nested(OneSeries, 3, Part);
                continue;
            }
            Double(Part, 1, sample.Value);
            Field(Part, 2, (ulong)sample.TimestampMs);
            Field(Part, 3, (ulong)sample.StartMs);
            Nested(OneSeries, 2, Part);
        }
        EndSeries(samples[0].Labels);
    }

    protected override void Series(ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars)
    {
        OneSeries.ResetWrittenCount();
        LabelRefs(exemplars[0].Labels, OneSeries);
        foreach ((_, Exemplar exemplar) in exemplars)
        {
            Part.ResetWrittenCount();
            LabelRefs(exemplar.Labels, Part);
            Double(Part, 2, exemplar.Value);
            Field(Part, 3, (ulong)(exemplar.TimestampMs ?? 0));
            Nested(OneSeries, 4, Part);
        }
        EndSeries(exemplars[0].Labels);
    }

    private void EndSeries(Labels labels)
    {
        if (Known(labels.MetricName) is { } known)
        {
            Part.ResetWrittenCount();
            Field(Part, 1, (ulong)known.Type);
            Field(Part, 3, Ref(known.Help));
            Field(Part, 4, Ref(known.Unit));
            Nested(OneSeries, 5, Part);
        }
        Nested(Request, 5, OneSeries);
    }

    // Field 1 of a series and of an exemplar: places of names and values in the symbols.
    private void LabelRefs(Labels labels, ArrayBufferWriter<byte> into)
    {
        _labelRefs.ResetWrittenCount();
        foreach (ref readonly Label label in labels.AsSpan())
        {
            Varint(_labelRefs, Ref(label.Name));
            Varint(_labelRefs, Ref(label.Value));
        }
        Nested(into, 1, _labelRefs);
    }

    private MetricMetadata? Known(string name)
    {
        _known ??= metadata();
        return FamilyNames.Find(_known, name) is { } family ? _known[family] : null;
    }

    private uint Ref(string text)
    {
        if (_refs.TryGetValue(text, out uint known))
            return known;
        uint next = (uint)_refs.Count;
        _refs.Add(text, next);
        // An empty text is written too: the first symbol must be there.
        Varint(_symbols, (4u << 3) | 2);
        int bytes = Encoding.UTF8.GetByteCount(text);
        Varint(_symbols, (ulong)bytes);
        Encoding.UTF8.GetBytes(text, _symbols);
        return next;
    }
}
