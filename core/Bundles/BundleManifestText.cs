using System.Buffers;
using System.Text.Json;

namespace Bellwether.Core.Bundles;

/// <summary>A manifest as JSON and back. Unknown members are skipped, so that later versions may say more.</summary>
internal static class BundleManifestText
{
    public static byte[] Write(BundleManifest manifest)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format", BundleFormat.Version);
            json.WriteString("bundle", manifest.Bundle);
            json.WriteString("agent", manifest.Agent);
            json.WriteString("version", manifest.Version);
            json.WriteNumber("created_ms", manifest.CreatedMs);
            if (manifest.Encryption is { } encryption)
            {
                json.WriteStartObject("encryption");
                json.WriteString("method", "ecdh-p256-hkdf-sha256-aes-256-gcm");
                json.WriteBase64String("ephemeral_key", encryption.EphemeralKey);
                json.WriteBase64String("recipient", encryption.Recipient);
                json.WriteEndObject();
            }
            json.WriteStartArray("volumes");
            foreach (BundleVolume volume in manifest.Volumes)
            {
                json.WriteStartObject();
                json.WriteNumber("bytes", volume.Bytes);
                json.WriteBase64String("sha256", volume.Sha256);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            BundleText.WriteSegments(json, "segments", manifest.Segments);
            BundleText.WriteSegments(json, "announced", manifest.Announced);
            if (manifest.Report.Length > 0)
                json.WriteBase64String("report", manifest.Report.Span);
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Null when it is no manifest or over a limit.</summary>
    public static BundleManifest? TryRead(ReadOnlyMemory<byte> bytes, BundleLimits limits)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 8 });
            JsonElement root = document.RootElement;
            if (root.GetProperty("format").GetInt32() != BundleFormat.Version)
                return null;
            var volumes = new List<BundleVolume>();
            foreach (JsonElement volume in root.GetProperty("volumes").EnumerateArray())
            {
                if (volumes.Count == limits.VolumesMax)
                    return null;
                volumes.Add(new BundleVolume(volume.GetProperty("bytes").GetInt64(), volume.GetProperty("sha256").GetBytesFromBase64()));
            }
            List<BundleSegment>? segments = BundleText.ReadSegments(root, "segments", limits), announced = BundleText.ReadSegments(root, "announced", limits);
            if (segments is null || announced is null)
                return null;
            return new BundleManifest
            {
                Bundle = root.GetProperty("bundle").GetGuid(),
                Agent = root.GetProperty("agent").GetString() ?? "",
                Version = root.GetProperty("version").GetString() ?? "",
                CreatedMs = root.GetProperty("created_ms").GetInt64(),
                Encryption = root.TryGetProperty("encryption", out JsonElement e) ? new BundleEncryption(e.GetProperty("ephemeral_key").GetBytesFromBase64(), e.GetProperty("recipient").GetBytesFromBase64()) : null,
                Volumes = volumes,
                Segments = segments,
                Announced = announced,
                Report = root.TryGetProperty("report", out JsonElement report) ? report.GetBytesFromBase64() : [],
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }
}
