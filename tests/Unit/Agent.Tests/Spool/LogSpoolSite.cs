using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Kit;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>A spool on a disk in memory, with ticks to put in and a way to look at what comes out.</summary>
public abstract class LogSpoolSite : IDisposable
{
    private protected Meter Meter { get; } = new("test");

    private protected FaultyDisk Disk { get; } = new(new Random(1));

    private protected SpoolTicks Ticks { get; } = new();

    public void Dispose()
    {
        Meter.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Closed segments of four records each, 10 samples a record.</summary>
    private protected void AppendSegments(LogSpool spool, int segments)
    {
        for (int s = 0; s < segments; s++)
        {
            for (int i = 0; i < 4; i++)
                spool.Append(Ticks.Next());
            spool.StartSegment();
        }
    }

    private protected static (long Produced, long Buffered, long Dropped) Ledger(LogSpool spool)
    {
        var ledger = new List<SourceLedger>();
        spool.ListLedger(ledger);
        return (ledger.Sum(l => l.Produced), ledger.Sum(l => l.Buffered.Samples), ledger.Sum(l => l.Dropped.Sum(d => d.Value.Samples)));
    }

    private protected static int CountBits(ReadOnlySpan<ulong> words)
    {
        int count = 0;
        foreach (ulong word in words)
            count += System.Numerics.BitOperations.PopCount(word);
        return count;
    }

    private protected static List<SpooledSegment> List(LogSpool spool)
    {
        var segments = new List<SpooledSegment>();
        spool.ListSegments(segments);
        return segments;
    }

    private protected static List<ReadOnlyMemory<byte>> ReadAll(LogSpool spool, SpooledSegment segment, ulong from)
    {
        var records = new List<ReadOnlyMemory<byte>>();
        while (from + (ulong)records.Count < segment.Records)
        {
            int before = records.Count;
            Assert.True(spool.TryRead(segment.Id, from + (ulong)records.Count, 200, records));
            Assert.True(records.Count > before, "a record that is listed cannot be read");
        }
        return records;
    }

    private protected static List<(long Time, double Value)> Decode(List<ReadOnlyMemory<byte>> records)
    {
        var decoder = new SegmentDecoder();
        var found = new List<(long, double)>();
        foreach (ReadOnlyMemory<byte> record in records)
        {
            Assert.Equal(DecodeOutcome.Applied, decoder.Apply(record.Span));
            found.Add((decoder.Tick.TimestampMs, decoder.Tick.Values[0]));
        }
        return found;
    }

    private protected LogSpool Open(SpoolOptions? options = null) => LogSpool.Open(Disk, "/spool", options ?? new SpoolOptions(), Ticks, new Random(2), Meter);
}
