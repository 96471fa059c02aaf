using System.Runtime.InteropServices;
using Bellwether.Core.Model;
using Bellwether.Ingest.Bundles;

namespace Bellwether.Ingest;

/// <summary>
/// The way into a store for samples that no agent brings (remote write): what rules have passed already is noted as late, so that they are evaluated again. Samples that were there
/// already change nothing. Thread-safe.
/// </summary>
public sealed class LateAppender(ISampleAppender inner, LateRanges late) : ISampleAppender
{
    /// <inheritdoc/>
    public async ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
    {
        AppendResult result;
        try
        {
            result = await inner.AppendAsync(batch, cancellation);
        }
        catch (Exception e) when (e is OperationCanceledException or StoreUnavailableException { InnerException: IOException })
        {
            // It may be stored all the same, and is there already when it comes again.
            Note(batch.Samples);
            throw;
        }
        if (result[AppendOutcome.Stored] + result[AppendOutcome.Conflict] > 0)
            Note(batch.Samples);
        return result;
    }

    /// <inheritdoc/>
    public Labels? Known(Labels labels) => inner.Known(labels);

    /// <inheritdoc/>
    public long OldestMs => inner.OldestMs;

    private void Note(List<SeriesSample> samples)
    {
        long passed = late.EvaluatedMs?.Invoke() ?? long.MaxValue;
        Dictionary<string, (long FromMs, long ToMs)>? ranges = null;
        Labels? last = null;
        string name = "";
        foreach (ref readonly SeriesSample sample in CollectionsMarshal.AsSpan(samples))
        {
            if (sample.TimestampMs > passed)
                continue;
            if (!ReferenceEquals(sample.Labels, last))
                (last, name) = (sample.Labels, sample.Labels.MetricName);
            ref (long FromMs, long ToMs) range = ref CollectionsMarshal.GetValueRefOrAddDefault(ranges ??= new(StringComparer.Ordinal), name, out bool known);
            range = known ? (Math.Min(range.FromMs, sample.TimestampMs), Math.Max(range.ToMs, sample.TimestampMs)) : (sample.TimestampMs, sample.TimestampMs);
        }
        if (ranges is null)
            return;
        foreach ((string metric, (long from, long to)) in ranges)
            late.NoteMetric(metric, from, to);
    }
}
