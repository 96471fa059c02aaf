using System.Buffers;
using System.Text.Json;
using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Spool;

/// <summary>What the spool remembers beside its log: the epoch, how far segments are acknowledged, and what was dropped. A hint where it can be rebuilt:
/// losing it costs a new epoch and announcing segments again, never data.</summary>
internal sealed class SpoolState
{
    private const int BytesMax = 16 << 20;

    public ulong Epoch { get; set; }

    public ulong NextNumber { get; set; } = 1;

    public Dictionary<SegmentRef, (ulong Records, bool Complete)> Acknowledged { get; } = [];

    public Dictionary<(string Source, string Reason), long> Dropped { get; } = [];

    public static SpoolState? TryRead(IDisk disk, string path)
    {
        if (AtomicFile.TryRead(disk, path, BytesMax, out byte[] content) != AtomicFileOutcome.Read)
            return null;
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
            state.Acknowledged[id] = (each.GetProperty("records").GetUInt64(), each.GetProperty("complete").GetBoolean());
        }
        foreach (JsonElement each in root.GetProperty("dropped").EnumerateArray())
            state.Dropped[(each.GetProperty("source").GetString()!, each.GetProperty("reason").GetString()!)] = each.GetProperty("samples").GetInt64();
        return state;
    }

    public void Write(IDisk disk, string path)
    {
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteNumber("epoch", Epoch);
            json.WriteNumber("next_number", NextNumber);
            json.WriteStartArray("acknowledged");
            foreach ((SegmentRef id, (ulong records, bool complete)) in Acknowledged)
            {
                json.WriteStartObject();
                json.WriteNumber("epoch", id.Epoch);
                json.WriteNumber("number", id.Number);
                json.WriteNumber("nonce", id.Nonce);
                json.WriteNumber("records", records);
                json.WriteBoolean("complete", complete);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartArray("dropped");
            foreach (((string source, string reason), long samples) in Dropped)
            {
                json.WriteStartObject();
                json.WriteString("source", source);
                json.WriteString("reason", reason);
                json.WriteNumber("samples", samples);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        AtomicFile.Write(disk, path, output.WrittenSpan);
    }
}
