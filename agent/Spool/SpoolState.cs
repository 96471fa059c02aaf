using System.Buffers;
using System.Text.Json;
using Bellwether.Agent.Stream;

namespace Bellwether.Agent.Spool;

/// <summary>What the spool remembers beside its log: the epoch, how far segments are acknowledged, the ledger, and whether it was stopped on purpose. A hint where it can be rebuilt:
/// losing it costs a new epoch and announcing segments again, never data.</summary>
internal sealed class SpoolState
{
    public ulong Epoch { get; set; }

    public ulong NextNumber { get; set; } = 1;

    /// <summary>What became of segments of which frames may still stand in the log.</summary>
    public Dictionary<SegmentRef, SegmentFate> Acknowledged { get; } = [];

    /// <summary>Segments that were dropped and may have arrived, oldest first; their facts name sources by <see cref="SpoolLedger"/>.</summary>
    public List<DroppedSegment> Dropped { get; } = [];

    /// <summary>When the run that wrote this stopped on purpose, Unix ms; 0: it has not.</summary>
    public long StoppedMs { get; set; }

    /// <summary>Reads <see cref="Dropped"/> once the ledger knows its sources.</summary>
    public void TakeDropped(SpoolLedger ledger)
    {
        if (Ledger is not { } root || !root.TryGetProperty("gone", out JsonElement gone))
            return;
        foreach (JsonElement each in gone.EnumerateArray())
        {
            var id = new SegmentRef(each.GetProperty("epoch").GetUInt64(), each.GetProperty("number").GetUInt64(), each.GetProperty("nonce").GetUInt32());
            List<RecordFact> rest = [.. each.GetProperty("records").EnumerateArray().Select(r => new RecordFact(ledger.IndexOf(r[0].GetString()!), r[1].GetInt64(), r[2].GetInt64()))];
            Dropped.Add(new DroppedSegment(id, each.GetProperty("reason").GetString()!, each.GetProperty("acknowledged").GetUInt64(), rest));
        }
    }

    private void WriteDropped(Utf8JsonWriter json, SpoolLedger ledger)
    {
        json.WriteStartArray("gone");
        foreach (DroppedSegment segment in Dropped)
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", segment.Id.Epoch);
            json.WriteNumber("number", segment.Id.Number);
            json.WriteNumber("nonce", segment.Id.Nonce);
            json.WriteString("reason", segment.Reason);
            json.WriteNumber("acknowledged", segment.Acknowledged);
            json.WriteStartArray("records");
            foreach (RecordFact record in segment.Rest)
            {
                json.WriteStartArray();
                json.WriteStringValue(ledger[record.Account].Name);
                json.WriteNumberValue(record.Samples);
                json.WriteNumberValue(record.TimestampMs);
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The ledger as it was written; null when this was made new.</summary>
    public JsonElement? Ledger { get; private set; }

    /// <summary>Whether the ledger says how much was acknowledged: without it, what is missing does not follow from the numbers.</summary>
    public bool SaysAcknowledged => Ledger is { } root && root.TryGetProperty("sources", out JsonElement sources) && sources.EnumerateArray().All(s => s.TryGetProperty("acknowledged", out _));

    /// <summary>What was held when this was written, by source: when a log is lost, it says of which time that was.</summary>
    public Dictionary<string, SourceSpan> Buffered { get; } = [];

    /// <summary>What was written; null when it cannot be understood.</summary>
    public static SpoolState? TryParse(byte[] content)
    {
        try
        {
            return Parse(content);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null; // whole by its checksum, but of another version: as if it were not there
        }
    }

    private static SpoolState Parse(byte[] content)
    {
        using JsonDocument document = JsonDocument.Parse(content);
        JsonElement root = document.RootElement;
        var state = new SpoolState { Epoch = root.GetProperty("epoch").GetUInt64(), NextNumber = root.GetProperty("next_number").GetUInt64() };
        foreach (JsonElement each in root.GetProperty("acknowledged").EnumerateArray())
        {
            var id = new SegmentRef(each.GetProperty("epoch").GetUInt64(), each.GetProperty("number").GetUInt64(), each.GetProperty("nonce").GetUInt32());
            // Where a segment stood in the log was not always written: then it is forgotten by its number alone, and never ends before its frames do.
            (ulong first, ulong end) = each.TryGetProperty("first", out JsonElement at) ? (at.GetUInt64(), each.GetProperty("end").GetUInt64()) : (0, ulong.MaxValue);
            state.Acknowledged[id] = new SegmentFate(each.GetProperty("records").GetUInt64(), each.GetProperty("complete").GetBoolean(), first, end);
        }
        if (root.TryGetProperty("stopped", out JsonElement stopped))
            state.StoppedMs = stopped.GetInt64();
        if (root.TryGetProperty("buffered", out JsonElement buffered))
        {
            foreach (JsonElement each in buffered.EnumerateArray())
                state.Buffered[each.GetProperty("name").GetString()!] = new SourceSpan(each.GetProperty("samples").GetInt64(), each.GetProperty("from").GetInt64(), each.GetProperty("to").GetInt64());
        }
        state.Ledger = root.Clone();
        return state;
    }

    /// <summary>All of it as it is written; <paramref name="waiting"/>: samples by account that the disk has not taken.</summary>
    public ReadOnlySpan<byte> Content(SpoolLedger ledger, IReadOnlyDictionary<int, long> waiting)
    {
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", Epoch);
            json.WriteNumber("next_number", NextNumber);
            json.WriteStartArray("acknowledged");
            foreach ((SegmentRef id, SegmentFate fate) in Acknowledged)
            {
                json.WriteStartObject();
                json.WriteNumber("epoch", id.Epoch);
                json.WriteNumber("number", id.Number);
                json.WriteNumber("nonce", id.Nonce);
                json.WriteNumber("records", fate.Records);
                json.WriteBoolean("complete", fate.Complete);
                json.WriteNumber("first", fate.FirstSequence);
                json.WriteNumber("end", fate.EndSequence);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteNumber("stopped", StoppedMs);
            json.WriteStartArray("buffered");
            foreach ((string name, SourceSpan span) in Buffered)
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteNumber("samples", span.Samples);
                json.WriteNumber("from", span.FromMs);
                json.WriteNumber("to", span.ToMs);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            ledger.Write(json, waiting);
            WriteDropped(json, ledger);
            json.WriteEndObject();
        }
        return output.WrittenSpan;
    }
}
