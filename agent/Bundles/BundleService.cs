using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Core.Platform;

namespace Bellwether.Agent.Bundles;

/// <summary>
/// Does what <c>bundle export</c> and <c>bundle receipt</c> ask, in the process that holds the spool: a running agent over its socket, or the command itself while the agent is stopped.
/// A command is one JSON line; the answers are JSON lines, the last of which has <c>done</c> or <c>error</c>.
/// </summary>
internal sealed class BundleService(Func<AgentConfig> config, ISpool spool, string version, TimeProvider time, Random random)
{
    private const long ProgressBytes = 1 << 20;
    private readonly Lock _one = new();

    /// <summary>A command to export.</summary>
    public static string ExportCommand(BundleRequest request) => Line(json =>
    {
        json.WriteString("command", "export");
        json.WriteString("file", request.File);
        json.WriteNumber("since_ms", request.SinceMs);
        json.WriteNumber("until_ms", request.UntilMs);
        json.WriteNumber("volume_bytes", request.VolumeBytes);
    });

    /// <summary>A command to take a receipt.</summary>
    public static string ReceiptCommand(string file) => Line(json =>
    {
        json.WriteString("command", "receipt");
        json.WriteString("file", file);
    });

    /// <summary>Runs a command and gives its answers. Expected failures are answers; it never throws for what a command says.</summary>
    public void Run(string command, Action<string> answer)
    {
        lock (_one)
        {
            try
            {
                using JsonDocument document = JsonDocument.Parse(command);
                JsonElement root = document.RootElement;
                string file = root.GetProperty("file").GetString() ?? "";
                switch (root.GetProperty("command").GetString())
                {
                    case "export":
                        Export(new BundleRequest(file, root.GetProperty("since_ms").GetInt64(), root.GetProperty("until_ms").GetInt64(), root.GetProperty("volume_bytes").GetInt64()), answer);
                        break;
                    case "receipt":
                        Receipt(file, answer);
                        break;
                    default:
                        answer(Failed("the command is not known to this agent; are both of one version?"));
                        break;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
            {
                answer(Failed(e.Message));
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                answer(Failed("the command cannot be read"));
            }
        }
    }

    /// <summary>Runs a command that came over the socket; the answers are lines.</summary>
    public async Task AnswerAsync(string command, System.IO.Stream stream, CancellationToken cancellation)
    {
        // Off the socket's loop: an export takes its time, and its answers are written as they come.
        await Task.Run(() => Run(command, line => stream.Write(System.Text.Encoding.UTF8.GetBytes(line + "\n"))), cancellation);
    }

    private void Export(BundleRequest request, Action<string> answer)
    {
        using BundleIdentity identity = BundleKeyFiles.Identity(config(), version);
        long told = -ProgressBytes;
        var export = new BundleExport(spool, new OsDisk(), time, random);
        BundleExported exported = export.Run(request, identity, [], (done, of) =>
        {
            if (done - told < ProgressBytes && done < of)
                return;
            told = done;
            answer(Line(json =>
            {
                json.WriteNumber("bytes", done);
                json.WriteNumber("of", of);
            }));
        });
        answer(Line(json =>
        {
            json.WriteBoolean("done", true);
            json.WriteStartArray("files");
            foreach (string file in exported.Files)
                json.WriteStringValue(file);
            json.WriteEndArray();
            json.WriteNumber("bytes", exported.Bytes);
            json.WriteString("bundle", exported.Manifest.Bundle);
            json.WriteNumber("segments", exported.Manifest.Segments.Count);
            json.WriteNumber("records", exported.Manifest.Segments.Sum(s => (long)s.Records));
            if (exported.Manifest.Segments.Count > 0)
            {
                json.WriteNumber("from_ms", exported.Manifest.Segments.Min(s => s.FromMs));
                json.WriteNumber("to_ms", exported.Manifest.Segments.Max(s => s.ToMs));
            }
        }));
    }

    private void Receipt(string file, Action<string> answer)
    {
        (Core.Bundles.BundleReceipt receipt, int freed) = BundleReceipts.Apply(file, config(), spool);
        answer(Line(json =>
        {
            json.WriteBoolean("done", true);
            json.WriteString("bundle", receipt.Bundle);
            json.WriteNumber("segments", receipt.Held.Count);
            json.WriteNumber("freed", freed);
            json.WriteNumber("missing", receipt.Missing.Count);
        }));
    }

    private static string Failed(string reason) => Line(json => json.WriteString("error", reason));

    private static string Line(Action<Utf8JsonWriter> members)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
