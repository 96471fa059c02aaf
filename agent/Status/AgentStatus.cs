using System.Globalization;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Text;

namespace Bellwether.Agent.Status;

/// <summary>How a running agent is, as <c>bellwether-agent status</c> shows it. Times are Unix ms; 0: never.</summary>
internal sealed record AgentStatus
{
    // The log has them all.
    private const int ErrorsMax = 5;

    public string Id { get; init; } = "";

    public string Version { get; init; } = "";

    public long StartedMs { get; init; }

    public long NowMs { get; init; }

    public string Aggregator { get; init; } = "";

    public bool Connected { get; init; }

    public string LastError { get; init; } = "";

    public long AcknowledgedRecords { get; init; }

    public long SentBytes { get; init; }

    public long SpoolBytes { get; init; }

    public long SpoolRecords { get; init; }

    public long SpoolOldestMs { get; init; }

    public long DroppedSamples { get; init; }

    /// <summary>They in words, by reason; empty: none.</summary>
    public string DroppedWhy { get; init; } = "";

    /// <summary>Segments that cannot be read for want of their key, in words; empty: none.</summary>
    public string Locked { get; init; } = "";

    /// <summary>When a configuration was taken last.</summary>
    public long ReloadedMs { get; init; }

    /// <summary>Why the newest configuration was refused; empty: it is in force.</summary>
    public IReadOnlyList<string> ReloadErrors { get; init; } = [];

    public IReadOnlyList<SourceStatus> Sources { get; init; } = [];

    /// <summary>One JSON object, as the status socket gives it.</summary>
    public byte[] ToJson()
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("id", Id);
            json.WriteString("version", Version);
            json.WriteNumber("startedMs", StartedMs);
            json.WriteNumber("nowMs", NowMs);
            json.WriteString("aggregator", Aggregator);
            json.WriteBoolean("connected", Connected);
            json.WriteString("lastError", LastError);
            json.WriteNumber("acknowledgedRecords", AcknowledgedRecords);
            json.WriteNumber("sentBytes", SentBytes);
            json.WriteNumber("spoolBytes", SpoolBytes);
            json.WriteNumber("spoolRecords", SpoolRecords);
            json.WriteNumber("spoolOldestMs", SpoolOldestMs);
            json.WriteNumber("droppedSamples", DroppedSamples);
            json.WriteString("droppedWhy", DroppedWhy);
            json.WriteString("locked", Locked);
            json.WriteNumber("reloadedMs", ReloadedMs);
            json.WriteStartArray("reloadErrors");
            foreach (string error in ReloadErrors.Take(ErrorsMax))
                json.WriteStringValue(error);
            json.WriteEndArray();
            json.WriteStartArray("sources");
            foreach (SourceStatus source in Sources)
                source.Write(json);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads what <see cref="ToJson"/> wrote. Throws <see cref="JsonException"/> when it is something else.</summary>
    public static AgentStatus FromJson(ReadOnlyMemory<byte> bytes)
    {
        using JsonDocument document = JsonDocument.Parse(bytes);
        JsonElement root = document.RootElement;
        return new AgentStatus
        {
            Id = root.GetProperty("id").GetString() ?? "",
            Version = root.GetProperty("version").GetString() ?? "",
            StartedMs = root.GetProperty("startedMs").GetInt64(),
            NowMs = root.GetProperty("nowMs").GetInt64(),
            Aggregator = root.GetProperty("aggregator").GetString() ?? "",
            Connected = root.GetProperty("connected").GetBoolean(),
            LastError = root.GetProperty("lastError").GetString() ?? "",
            AcknowledgedRecords = root.GetProperty("acknowledgedRecords").GetInt64(),
            SentBytes = root.GetProperty("sentBytes").GetInt64(),
            SpoolBytes = root.GetProperty("spoolBytes").GetInt64(),
            SpoolRecords = root.GetProperty("spoolRecords").GetInt64(),
            SpoolOldestMs = root.GetProperty("spoolOldestMs").GetInt64(),
            DroppedSamples = root.GetProperty("droppedSamples").GetInt64(),
            DroppedWhy = root.TryGetProperty("droppedWhy", out JsonElement why) ? why.GetString() ?? "" : "",
            Locked = root.TryGetProperty("locked", out JsonElement locked) ? locked.GetString() ?? "" : "",
            ReloadedMs = root.GetProperty("reloadedMs").GetInt64(),
            ReloadErrors = [.. root.GetProperty("reloadErrors").EnumerateArray().Select(e => e.GetString() ?? "")],
            Sources = [.. root.GetProperty("sources").EnumerateArray().Select(SourceStatus.Read)],
        };
    }

    /// <summary>The page for people.</summary>
    public string ToText()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"agent       {Id}, version {Version}, running for {Span(NowMs - StartedMs)}\n");
        text.Append(CultureInfo.InvariantCulture, $"aggregator  {(Aggregator.Length == 0 ? "none is configured: records leave by bundles" : $"{Aggregator}, {(Connected ? "connected" : "not connected")}")}; {AcknowledgedRecords} records acknowledged, {SentBytes} bytes sent\n");
        // What went wrong before this connection is over.
        if (LastError.Length > 0 && !Connected)
            text.Append(CultureInfo.InvariantCulture, $"            last error: {VisibleText.Of(LastError)}\n");
        string oldest = SpoolOldestMs > 0 ? $", the oldest {Span(NowMs - SpoolOldestMs)} old" : "";
        text.Append(CultureInfo.InvariantCulture, $"spool       {SpoolRecords} records in {SpoolBytes} bytes not yet acknowledged{oldest}; {DroppedSamples} samples dropped{(DroppedWhy.Length > 0 ? $" ({DroppedWhy})" : "")}\n");
        if (Locked.Length > 0)
            text.Append(CultureInfo.InvariantCulture, $"            {Locked}\n");
        if (ReloadErrors.Count > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"config      the last reload was refused; in force is the one taken {Span(NowMs - ReloadedMs)} ago\n");
            foreach (string error in ReloadErrors.Take(ErrorsMax))
                text.Append(CultureInfo.InvariantCulture, $"            {VisibleText.Of(error.Split('\n')[0])}\n");
        }
        text.Append('\n');
        int width = Math.Max(6, Sources.Select(s => s.Name.Length).DefaultIfEmpty(0).Max());
        text.Append(CultureInfo.InvariantCulture, $"{"SOURCE".PadRight(width)}  {"EVERY",8}  {"LAST",10}  {"SAMPLES",8}  STATE\n");
        foreach (SourceStatus source in Sources)
        {
            string last = source.LastMs > 0 ? Span(NowMs - source.LastMs) + " ago" : "-";
            string state = source.LastError.Length > 0 ? VisibleText.Of(source.LastError) : source.LastMs > 0 ? "ok" : "waiting";
            text.Append(CultureInfo.InvariantCulture, $"{VisibleText.Of(source.Name).PadRight(width)}  {(source.IntervalMs > 0 ? Span(source.IntervalMs) : "-"),8}  {last,10}  {source.Samples,8}  {state}\n");
        }
        return text.ToString();
    }

    private static string Span(long ms) => ms switch
    {
        < 1_000 => string.Create(CultureInfo.InvariantCulture, $"{ms}ms"),
        < 60_000 => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000.0:0.#}s"),
        < 3_600_000 => string.Create(CultureInfo.InvariantCulture, $"{ms / 60_000}m{ms / 1000 % 60}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{ms / 3_600_000}h{ms / 60_000 % 60}m"),
    };
}

/// <summary>One source's state.</summary>
internal sealed record SourceStatus(string Name, long IntervalMs, long LastMs, long Samples, string LastError)
{
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("name", Name);
        json.WriteNumber("intervalMs", IntervalMs);
        json.WriteNumber("lastMs", LastMs);
        json.WriteNumber("samples", Samples);
        json.WriteString("lastError", LastError);
        json.WriteEndObject();
    }

    public static SourceStatus Read(JsonElement json) => new(
        json.GetProperty("name").GetString() ?? "",
        json.GetProperty("intervalMs").GetInt64(),
        json.GetProperty("lastMs").GetInt64(),
        json.GetProperty("samples").GetInt64(),
        json.GetProperty("lastError").GetString() ?? "");
}
