using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Store;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>An agent with ten series: what it collects is one segment, of which any part can be sent.</summary>
internal sealed class StoreAgent
{
    public const int Series = 10;

    private readonly SegmentEncoder _encoder = new();
    private readonly SourceTable _table = new("host", 1000);
    private readonly SourceTick _tick = new();
    private readonly List<ReadOnlyMemory<byte>> _records = [];
    private int _sent;

    public StoreAgent(string id, uint segment = 1, uint? nonce = null)
    {
        Segment = new SegmentKey(id, 1, segment, nonce ?? segment);
        for (int i = 0; i < Series; i++)
            _table.Add(Labels.Of("__name__", "m" + i, "agent", id));
        _encoder.StartSegment(true);
    }

    public SegmentKey Segment { get; }

    public void Collect(long fromMs, int ticks)
    {
        for (int n = 0; n < ticks; n++)
        {
            _tick.Begin(_table, fromMs + (n * 1000));
            for (int i = 0; i < Series; i++)
                _tick.Set(i, n + i);
            Complete();
        }
    }

    /// <summary>A tick of samples with times of their own.</summary>
    public void CollectTimed(long tickMs, params ReadOnlySpan<long> samplesMs)
    {
        _tick.Begin(_table, tickMs);
        for (int i = 0; i < samplesMs.Length; i++)
            _tick.Timed.Add(new TimedSample(i, samplesMs[i], 1));
        Complete();
    }

    /// <summary>A tick of histograms with times of their own.</summary>
    public void CollectHistograms(long tickMs, params ReadOnlySpan<long> samplesMs)
    {
        _tick.Begin(_table, tickMs);
        for (int i = 0; i < samplesMs.Length; i++)
            _tick.Histograms.Add(new SlotHistogram(i, new NativeHistogram { Schema = 0, Count = 1, Sum = 1, PositiveSpans = [new BucketSpan(0, 1)], PositiveBuckets = [1], IsInteger = true }, samplesMs[i]));
        Complete();
    }

    /// <summary>The records from one on.</summary>
    public RecordRun Run(int from) => new(Segment, (ulong)from, [.. _records.Skip(from)], false);

    /// <summary>The records that this did not give yet.</summary>
    public RecordRun RunNew()
    {
        RecordRun run = Run(_sent);
        _sent = _records.Count;
        return run;
    }

    private void Complete()
    {
        _tick.Complete();
        Assert.Equal(EncodeOutcome.Encoded, _encoder.Encode(_tick));
        _records.Add(_encoder.Record.ToArray());
    }
}
