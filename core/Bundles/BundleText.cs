using System.Text.Json;

namespace Bellwether.Core.Bundles;

/// <summary>Lists of segments in JSON, as manifests, receipts and journals hold them.</summary>
public static class BundleText
{
    /// <summary>Each as [epoch, number, nonce, records, from, to]: there may be very many.</summary>
    public static void WriteSegments(Utf8JsonWriter json, string name, IReadOnlyList<BundleSegment> segments)
    {
        json.WriteStartArray(name);
        foreach (BundleSegment segment in segments)
        {
            json.WriteStartArray();
            json.WriteNumberValue(segment.Id.Epoch);
            json.WriteNumberValue(segment.Id.Number);
            json.WriteNumberValue(segment.Id.Nonce);
            json.WriteNumberValue(segment.Records);
            json.WriteNumberValue(segment.FromMs);
            json.WriteNumberValue(segment.ToMs);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    /// <summary>Reads them; null over a limit. Throws what JSON of another shape throws.</summary>
    public static List<BundleSegment>? ReadSegments(JsonElement root, string name, BundleLimits? limits = null)
    {
        limits ??= new BundleLimits();
        var segments = new List<BundleSegment>();
        foreach (JsonElement segment in root.GetProperty(name).EnumerateArray())
        {
            if (segments.Count == limits.SegmentsMax || segment.GetArrayLength() != 6)
                return null;
            segments.Add(new BundleSegment(
                new BundleSegmentId(segment[0].GetUInt64(), segment[1].GetUInt64(), segment[2].GetUInt32()), segment[3].GetUInt64(), segment[4].GetInt64(), segment[5].GetInt64()));
        }
        return segments;
    }
}
