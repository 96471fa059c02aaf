using System.Globalization;
using Bellwether.Core.Codec;
using Bellwether.Core.Grpc;
using Bellwether.Core.Model;
using Bellwether.V1;
using Google.Protobuf;

namespace Bellwether.Bench.Store;

/// <summary>The same series as an agent streams them: ten sources, a record per source and tick of 15 s, a segment per 5 minutes or 1 MiB. Encoded before, so that only the aggregator works while it is measured.</summary>
internal sealed class StreamLoad
{
    private const int Sources = 10;
    private const int TicksPerSegment = 20;
    private const int SegmentBytesMax = 1 << 20;
    private const int BatchRecordsMax = 64;
    private readonly List<List<byte[]>> _segments = [];

    public StreamLoad(int series, int ticks, long nowMs)
    {
        EndMs = (nowMs / WriteLoad.IntervalMs * WriteLoad.IntervalMs) + 1;
        Ticks = ticks;
        Samples = (long)series * ticks;
        Encode(new LoadSeries(series));
    }

    public int Ticks { get; }

    public long EndMs { get; }

    public long Samples { get; }

    public long Bytes => _segments.Sum(s => s.Sum(r => (long)r.Length));

    /// <summary>Counts what is stored.</summary>
    public string AllSamples => FormattableString.Invariant($"sum(count_over_time({{job=\"bench\"}}[{(Ticks + 20) * WriteLoad.IntervalMs / 1000}s]))");

    /// <summary>Streams all of it; returns when every segment is acknowledged as durable.</summary>
    public async Task SendAsync(int port, TimeProvider time, CancellationToken cancel)
    {
        using var channel = new GrpcChannel(new GrpcChannelOptions { Address = new Uri($"http://127.0.0.1:{port}") }, time);
        var metadata = new GrpcMetadata();
        metadata.Add("authorization", "Bearer " + Query.QueryServer.Token);
        await using GrpcCall<AgentMessage, AggregatorMessage> call = channel.Open(WireMethods.Stream, new GrpcCallOptions { Metadata = metadata }, cancel);
        await call.WriteAsync(new AgentMessage { Hello = new Hello { AgentId = "bench", Epoch = 1, ProcessId = "bench", Version = "0", ClockUnixMs = time.GetUtcNow().ToUnixTimeMilliseconds(), NextNumber = 1 } }, cancel);
        if (await call.ReadAsync(cancel) is not { Hello: { } hello })
            throw new InvalidOperationException($"the aggregator did not answer the hello: {call.Status}");
        using var window = new StreamWindow(hello.WindowBytes);
        Task reading = ReadAsync(call, window, cancel);
        for (int i = 0; i < _segments.Count; i++)
            await SendSegmentAsync(call, i, (int)hello.MaxBatchBytes, window, cancel);
        await reading;
        call.Cancel();
    }

    private async Task SendSegmentAsync(GrpcCall<AgentMessage, AggregatorMessage> call, int index, int batchBytes, StreamWindow window, CancellationToken cancel)
    {
        List<byte[]> records = _segments[index];
        SegmentId id = IdOf(index);
        for (int first = 0; first < records.Count;)
        {
            var batch = new RecordBatch { Segment = id, FirstRecord = (ulong)first };
            int bytes = 0, next = first;
            while (next < records.Count && next - first < BatchRecordsMax && (next == first || bytes + records[next].Length <= batchBytes))
            {
                bytes += records[next].Length;
                batch.Records.Add(UnsafeByteOperations.UnsafeWrap(records[next++]));
            }
            batch.Last = next == records.Count;
            await window.TakeAsync((index, next), bytes, cancel);
            await call.WriteAsync(new AgentMessage { Records = batch }, cancel);
            first = next;
        }
    }

    private async Task ReadAsync(GrpcCall<AgentMessage, AggregatorMessage> call, StreamWindow window, CancellationToken cancel)
    {
        int complete = 0;
        while (complete < _segments.Count)
        {
            AggregatorMessage message = await call.ReadAsync(cancel) ?? throw new InvalidOperationException($"the stream ended: {call.Status}");
            if (message.Ack is not { } ack)
                continue;
            if (ack.Refused.Count > 0)
                throw new InvalidOperationException($"a record was refused: {ack.Refused[0].Reason}");
            foreach (SegmentHeld held in ack.Held)
            {
                window.Give(((int)held.Segment.Number - 1, (int)held.Records));
                complete += held.Complete ? 1 : 0;
            }
        }
    }

    private static SegmentId IdOf(int index) => new() { Epoch = 1, Number = (ulong)index + 1, Nonce = 7 };

    private void Encode(LoadSeries series)
    {
        int perSource = series.Count / Sources;
        var tables = new SourceTable[Sources];
        var ticks = new SourceTick[Sources];
        for (int source = 0; source < Sources; source++)
        {
            tables[source] = new SourceTable(string.Create(CultureInfo.InvariantCulture, $"bench/http://10.0.0.{source}:9100/metrics"), (int)WriteLoad.IntervalMs);
            ticks[source] = new SourceTick();
            for (int s = source * perSource; s < (source + 1) * perSource; s++)
                tables[source].Add(Labels.From([new Label("__name__", LoadSeries.Name(s)), .. LoadSeries.LabelsOf(s).Select(l => new Label(l.Name, l.Value))]));
        }
        var encoder = new SegmentEncoder();
        for (int tick = 0; tick < Ticks; tick++)
        {
            if (tick % TicksPerSegment == 0 || encoder.Bytes >= SegmentBytesMax)
            {
                encoder.StartSegment(withMetadata: tick == 0);
                _segments.Add([]);
            }
            for (int source = 0; source < Sources; source++)
            {
                ticks[source].Begin(tables[source], EndMs - ((Ticks - 1 - tick) * WriteLoad.IntervalMs) + source);
                for (int slot = 0; slot < perSource; slot++)
                    ticks[source].Set(slot, series.Values[(source * perSource) + slot]);
                ticks[source].Complete();
                if (encoder.Encode(ticks[source]) != EncodeOutcome.Encoded)
                    throw new InvalidOperationException("a record of this bench is too large");
                _segments[^1].Add(encoder.Record.ToArray());
            }
            series.Next();
        }
    }
}
