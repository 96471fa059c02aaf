using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Bellwether.Core.Bundles;

/// <summary>
/// What the aggregator holds of a bundle, to be carried back: it frees the agent's spool, so it is signed with the aggregator's key. A text file: a first line, the
/// signature in base64, then JSON. Immutable.
/// </summary>
public sealed record BundleReceipt
{
    private const string FirstLine = "BELLWETHER-RECEIPT 1\n";
    private const int FileBytesMax = 64 << 20;

    private static ReadOnlySpan<byte> Domain => "bellwether bundle receipt v1\0"u8;

    /// <summary>Of which bundle.</summary>
    public required Guid Bundle { get; init; }

    /// <summary>Whose spool it frees.</summary>
    public required string Agent { get; init; }

    /// <summary>The store that holds it.</summary>
    public required string Store { get; init; }

    /// <summary>When it was made, Unix ms.</summary>
    public required long CreatedMs { get; init; }

    /// <summary>What is durable there: records 0 .. Records - 1 of each segment.</summary>
    public IReadOnlyList<BundleSegment> Held { get; init; } = [];

    /// <summary>What the agent announced and the store does not have.</summary>
    public IReadOnlyList<BundleSegment> Missing { get; init; } = [];

    /// <summary>The file's bytes.</summary>
    public byte[] Write(ECDsa key)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("bundle", Bundle);
            json.WriteString("agent", Agent);
            json.WriteString("store", Store);
            json.WriteNumber("created_ms", CreatedMs);
            BundleText.WriteSegments(json, "held", Held);
            BundleText.WriteSegments(json, "missing", Missing);
            json.WriteEndObject();
        }
        string signature = Convert.ToBase64String(BundleKeys.Sign(key, Domain, buffer.WrittenSpan));
        return [.. Encoding.ASCII.GetBytes(FirstLine + signature + "\n"), .. buffer.WrittenSpan];
    }

    /// <summary>Reads a receipt and checks that it is for this agent and signed by this aggregator.</summary>
    public static BundleVerdict TryRead(ReadOnlyMemory<byte> file, string agent, ECDsa aggregator, out BundleReceipt? receipt)
    {
        receipt = null;
        if (file.Length > FileBytesMax)
            return new BundleVerdict(BundleOutcome.TooLarge, $"the file has {file.Length} bytes; a receipt has up to {FileBytesMax}");
        ReadOnlySpan<byte> span = file.Span;
        if (!span.StartsWith("BELLWETHER-RECEIPT "u8))
            return new BundleVerdict(BundleOutcome.NotABundle, "the file does not begin as a receipt does");
        if (!span.StartsWith("BELLWETHER-RECEIPT 1\n"u8))
            return new BundleVerdict(BundleOutcome.NewerFormat, "the receipt has a newer format than this program knows: update it");
        int end = span[FirstLine.Length..].IndexOf((byte)'\n');
        if (end < 0 || end > 200)
            return new BundleVerdict(BundleOutcome.Cut, "the receipt has no signature");
        byte[] signature = new byte[BundleFormat.SignatureBytes];
        int content = FirstLine.Length + end + 1;
        if (!Convert.TryFromBase64String(Encoding.ASCII.GetString(span.Slice(FirstLine.Length, end)), signature, out int length) || length != signature.Length
            || !BundleKeys.Verify(aggregator, Domain, span[content..], signature))
            return new BundleVerdict(BundleOutcome.WrongSignature, "the receipt is not signed by the aggregator's key that is configured here, or it was altered");
        try
        {
            using JsonDocument document = JsonDocument.Parse(file[content..], new JsonDocumentOptions { MaxDepth = 8 });
            JsonElement root = document.RootElement;
            var limits = new BundleLimits();
            receipt = new BundleReceipt
            {
                Bundle = root.GetProperty("bundle").GetGuid(),
                Agent = root.GetProperty("agent").GetString() ?? "",
                Store = root.GetProperty("store").GetString() ?? "",
                CreatedMs = root.GetProperty("created_ms").GetInt64(),
                Held = BundleText.ReadSegments(root, "held", limits) ?? [],
                Missing = BundleText.ReadSegments(root, "missing", limits) ?? [],
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return new BundleVerdict(BundleOutcome.Altered, "the receipt cannot be read");
        }
        if (receipt.Agent == agent)
            return BundleVerdict.Good;
        string other = receipt.Agent;
        receipt = null;
        return new BundleVerdict(BundleOutcome.Stranger, $"the receipt is for agent '{other}', this is '{agent}'");
    }
}
