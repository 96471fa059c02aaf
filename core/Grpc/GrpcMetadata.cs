using System.Collections;

namespace Bellwether.Core.Grpc;

/// <summary>One piece of metadata: a lower-case key and text, or, when the key ends in <c>-bin</c>, bytes.</summary>
/// <param name="Key">Digits, lower-case letters, <c>_ . -</c>; not starting with <c>grpc-</c>.</param>
/// <param name="Text">Printable ASCII; empty when the key ends in <c>-bin</c>.</param>
/// <param name="Bytes">The bytes, when the key ends in <c>-bin</c>.</param>
public readonly record struct GrpcMetadataEntry(string Key, string Text, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>Whether the value is bytes.</summary>
    public bool IsBinary => Key.EndsWith("-bin", StringComparison.Ordinal);
}

/// <summary>Custom metadata of a call, in order; keys may repeat. At most <see cref="MaxBytes"/> altogether. Not thread-safe.</summary>
public sealed class GrpcMetadata : IEnumerable<GrpcMetadataEntry>
{
    /// <summary>Keys and values together; peers take 8 KiB of headers by default.</summary>
    public const int MaxBytes = 6 * 1024;

    private readonly List<GrpcMetadataEntry> _entries = [];
    private int _bytes;

    /// <summary>Nothing; do not add to it.</summary>
    internal static GrpcMetadata None { get; } = new();

    /// <summary>How many entries.</summary>
    public int Count => _entries.Count;

    /// <summary>Adds text. Throws <see cref="ArgumentException"/> for a key or value that the wire cannot carry, or above <see cref="MaxBytes"/>.</summary>
    public void Add(string key, string text)
    {
        if (!IsKey(key) || key.EndsWith("-bin", StringComparison.Ordinal))
            throw new ArgumentException($"'{key}' is not a key for text: use 0-9 a-z _ . - without the prefix 'grpc-' and the suffix '-bin'.", nameof(key));
        if (text.AsSpan().ContainsAnyExceptInRange(' ', '~'))
            throw new ArgumentException($"The value of '{key}' has characters beyond printable ASCII; use a key ending in '-bin' for bytes.", nameof(text));
        CountBytes(key.Length + text.Length);
        _entries.Add(new GrpcMetadataEntry(key, text, default));
    }

    /// <summary>Adds bytes under a key that ends in <c>-bin</c>. Throws <see cref="ArgumentException"/> for another key, or above <see cref="MaxBytes"/>.</summary>
    public void Add(string key, ReadOnlyMemory<byte> bytes)
    {
        if (!IsKey(key) || !key.EndsWith("-bin", StringComparison.Ordinal))
            throw new ArgumentException($"'{key}' is not a key for bytes: use 0-9 a-z _ . - without the prefix 'grpc-' and with the suffix '-bin'.", nameof(key));
        CountBytes(key.Length + ((bytes.Length + 2) / 3 * 4));
        _entries.Add(new GrpcMetadataEntry(key, "", bytes));
    }

    /// <summary>The first text under a key, or null.</summary>
    public string? Text(string key)
    {
        foreach (GrpcMetadataEntry entry in _entries)
        {
            if (entry.Key == key && !entry.IsBinary)
                return entry.Text;
        }
        return null;
    }

    /// <summary>The first bytes under a key ending in <c>-bin</c>, or null.</summary>
    public ReadOnlyMemory<byte>? Bytes(string key)
    {
        foreach (GrpcMetadataEntry entry in _entries)
        {
            if (entry.Key == key && entry.IsBinary)
                return entry.Bytes;
        }
        return null;
    }

    /// <inheritdoc/>
    public IEnumerator<GrpcMetadataEntry> GetEnumerator() => _entries.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Takes a header of the wire: reserved and malformed ones are left out, several <c>-bin</c> values may stand in one line. The transport bounds the size.</summary>
    internal void AddFromWire(string name, string value)
    {
        string key = name.ToLowerInvariant();
        if (!IsKey(key) || IsTransport(key))
            return;
        if (!key.EndsWith("-bin", StringComparison.Ordinal))
        {
            _entries.Add(new GrpcMetadataEntry(key, value, default));
            return;
        }
        foreach (string part in value.Split(','))
        {
            if (GrpcText.TryDecodeBytes(part, out byte[] bytes))
                _entries.Add(new GrpcMetadataEntry(key, "", bytes));
        }
    }

    private static bool IsKey(string key)
    {
        if (key.Length == 0 || key.StartsWith("grpc-", StringComparison.Ordinal))
            return false;
        foreach (char c in key)
        {
            if (!char.IsAsciiDigit(c) && !char.IsAsciiLetterLower(c) && c is not ('_' or '.' or '-'))
                return false;
        }
        return true;
    }

    private static bool IsTransport(string key) => key is "content-type" or "te" or "host" or "user-agent" or "date" or "server" or "content-length" or "accept-encoding";

    private void CountBytes(int bytes)
    {
        if (_bytes + bytes > MaxBytes)
            throw new ArgumentException($"Metadata of {_bytes + bytes} bytes is above the limit of {MaxBytes} (GrpcMetadata.MaxBytes).");
        _bytes += bytes;
    }
}
