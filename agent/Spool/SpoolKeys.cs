using System.Security.Cryptography;
using System.Text;
using Bellwether.Agent.Configuration;

namespace Bellwether.Agent.Spool;

/// <summary>A key that wraps the segments' keys: 32 bytes under a name.</summary>
internal sealed record SpoolKey(string Id, byte[] Key);

/// <summary>
/// The keys of encryption at rest (docs/formats/segment.md, "Sealed"). Each segment has a random AES-256 key of its own, which stands wrapped in the frame that begins it. New
/// segments are wrapped under the first key; the others only open. Immutable.
/// </summary>
/// <param name="keys">At least one.</param>
/// <param name="fill">Gives random bytes; null: the operating system's generator.</param>
internal sealed class SpoolKeys(IReadOnlyList<SpoolKey> keys, Action<byte[]>? fill = null)
{
    public const int KeyBytes = 32;
    public const int NonceBytes = 12;
    public const int TagBytes = 16;
    private const byte Version = 1;

    private readonly Action<byte[]> _fill = fill ?? (static bytes => RandomNumberGenerator.Fill(bytes));

    /// <summary>The bytes that a wrapped key adds to the frame that begins a segment.</summary>
    public int WrappedBytes => 2 + keys[0].Id.Length + NonceBytes + KeyBytes + TagBytes;

    /// <summary>Reads the keys from where the configuration says. Throws <see cref="IOException"/> that names the setting and what is wrong.</summary>
    public static SpoolKeys? Load(IReadOnlyList<SpoolKeySection> sections)
    {
        if (sections.Count == 0)
            return null;
        var keys = new List<SpoolKey>();
        for (int i = 0; i < sections.Count; i++)
            keys.Add(new SpoolKey(sections[i].Id, Read(sections[i], $"spool.encryption[{i}] (key '{sections[i].Id}')")));
        return new SpoolKeys(keys);
    }

    /// <summary>Makes a segment's key and writes it, wrapped, behind what begins the segment.</summary>
    /// <param name="begin">The frame's payload; its first <see cref="SpoolFrames.BeginBytes"/> are written, the rest is filled.</param>
    /// <param name="id">The segment.</param>
    public SegmentCipher Begin(Span<byte> begin, Stream.SegmentRef id)
    {
        byte[] key = new byte[KeyBytes];
        byte[] nonce = new byte[NonceBytes];
        _fill(key);
        _fill(nonce);
        Span<byte> block = begin[SpoolFrames.BeginBytes..];
        block[0] = Version;
        block[1] = (byte)keys[0].Id.Length;
        int at = 2 + Encoding.ASCII.GetBytes(keys[0].Id, block[2..]);
        nonce.CopyTo(block[at..]);
        using var wrap = new AesGcm(keys[0].Key, TagBytes);
        wrap.Encrypt(nonce, key, block.Slice(at + NonceBytes, KeyBytes), block.Slice(at + NonceBytes + KeyBytes, TagBytes), begin[..(SpoolFrames.BeginBytes + at)]);
        return new SegmentCipher(key, id);
    }

    /// <summary>Opens a segment's key; null and a reason when none of the keys does.</summary>
    public static SegmentCipher? Open(SpoolKeys? keys, ReadOnlySpan<byte> begin, Stream.SegmentRef id, out string reason)
    {
        ReadOnlySpan<byte> block = begin[SpoolFrames.BeginBytes..];
        int at = block.Length < 2 ? 0 : 2 + block[1];
        if (at == 0 || block[0] != Version || block.Length != at + NonceBytes + KeyBytes + TagBytes)
        {
            reason = "its key is written in a form that this version does not know";
            return null;
        }
        string name = Encoding.ASCII.GetString(block[2..at]);
        if (keys?.Find(name) is not { } found)
        {
            reason = $"it is encrypted under key '{name}', which spool.encryption does not have";
            return null;
        }
        byte[] key = new byte[KeyBytes];
        try
        {
            using var wrap = new AesGcm(found.Key, TagBytes);
            wrap.Decrypt(block.Slice(at, NonceBytes), block.Slice(at + NonceBytes, KeyBytes), block.Slice(at + NonceBytes + KeyBytes, TagBytes), key, begin[..(SpoolFrames.BeginBytes + at)]);
        }
        catch (CryptographicException)
        {
            reason = $"key '{name}' is not the one that it was encrypted under";
            return null;
        }
        reason = "";
        return new SegmentCipher(key, id);
    }

    private SpoolKey? Find(string name)
    {
        foreach (SpoolKey key in keys)
        {
            if (key.Id == name)
                return key;
        }
        return null;
    }

    private static byte[] Read(SpoolKeySection section, string setting)
    {
        string file = section.File;
        byte[] raw;
        if (section.Env.Length > 0)
        {
            raw = Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable(section.Env) ?? throw new IOException($"{setting}: the environment variable {section.Env} is not set"));
        }
        else
        {
            if (section.Credential.Length > 0)
            {
                string folder = Environment.GetEnvironmentVariable("CREDENTIALS_DIRECTORY") ?? throw new IOException($"{setting}: $CREDENTIALS_DIRECTORY is not set; systemd sets it for units with LoadCredential={section.Credential}:...");
                file = Path.Combine(folder, section.Credential);
            }
            try
            {
                raw = File.ReadAllBytes(file);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new IOException($"{setting}: {e.Message}", e);
            }
        }
        return Decode(raw) ?? throw new IOException($"{setting}: what is there is no key; it must be {KeyBytes} bytes, as such (only in a file), as 64 hexadecimal digits or as base64 (e.g. from: openssl rand -hex 32)");
    }

    private static byte[]? Decode(byte[] raw)
    {
        if (raw.Length == KeyBytes)
            return raw;
        if (raw.Length > 1024)
            return null;
        string text = Encoding.ASCII.GetString(raw).Trim();
        if (text.Length == 2 * KeyBytes && text.All(char.IsAsciiHexDigit))
            return Convert.FromHexString(text);
        byte[] key = new byte[KeyBytes];
        return Convert.TryFromBase64String(text, key, out int bytes) && bytes == KeyBytes ? key : null;
    }
}

/// <summary>
/// Seals and opens the records of one segment. The nonce is the frame's sequence in the log, which is never given out twice while the segment's key is in use: a key lives in one run of
/// the agent only, and a run never uses a sequence again. The segment's name and the sequence are authenticated, so that a frame does not pass at another place. Not thread-safe.
/// </summary>
internal sealed class SegmentCipher(byte[] key, Stream.SegmentRef id)
{
    private AesGcm? _aes;

    /// <summary>Bytes that sealing adds.</summary>
    public const int AddedBytes = SpoolKeys.TagBytes;

    /// <summary>Seals a record into <paramref name="into"/>, which is <see cref="AddedBytes"/> longer.</summary>
    public void Seal(ulong sequence, ReadOnlySpan<byte> record, Span<byte> into)
    {
        Span<byte> nonce = stackalloc byte[SpoolKeys.NonceBytes];
        Span<byte> place = stackalloc byte[PlaceBytes];
        Place(sequence, nonce, place);
        (_aes ??= new AesGcm(key, SpoolKeys.TagBytes)).Encrypt(nonce, record, into[..record.Length], into.Slice(record.Length, SpoolKeys.TagBytes), place);
    }

    /// <summary>Opens what was sealed; false when it is not what was written at this place.</summary>
    public bool TryOpen(ulong sequence, ReadOnlySpan<byte> frame, Span<byte> into)
    {
        if (frame.Length < AddedBytes)
            return false;
        Span<byte> nonce = stackalloc byte[SpoolKeys.NonceBytes];
        Span<byte> place = stackalloc byte[PlaceBytes];
        Place(sequence, nonce, place);
        try
        {
            (_aes ??= new AesGcm(key, SpoolKeys.TagBytes)).Decrypt(nonce, frame[..^AddedBytes], frame[^AddedBytes..], into[..(frame.Length - AddedBytes)], place);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    /// <summary>Gives back what the operating system lent; it is had again when needed.</summary>
    public void Rest()
    {
        _aes?.Dispose();
        _aes = null;
    }

    private const int PlaceBytes = 28;

    private void Place(ulong sequence, Span<byte> nonce, Span<byte> place)
    {
        nonce.Clear();
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(nonce[4..], sequence);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(place, id.Epoch);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(place[8..], id.Number);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(place[16..], id.Nonce);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(place[20..], sequence);
    }
}
