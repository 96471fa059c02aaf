using System.Text;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Turns UTF-8 into strings, and the same bytes into the same string as long as it is remembered. Fixed size. Not thread-safe.</summary>
internal sealed class TextCache
{
    private const int Slots = 4096;
    private const int TextBytesMax = 128;
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);
    private readonly (byte[] Bytes, string Text)[] _slots = new (byte[], string)[Slots];

    /// <summary>The text; false when the bytes are not valid UTF-8.</summary>
    public bool TryGet(ReadOnlySpan<byte> bytes, out string text)
    {
        if (bytes.Length == 0)
        {
            text = "";
            return true;
        }
        uint hash = 2166136261;
        foreach (byte b in bytes)
            hash = (hash ^ b) * 16777619;
        ref (byte[] Bytes, string Text) slot = ref _slots[(hash ^ (hash >> 16)) % Slots];
        if (slot.Bytes is not null && bytes.SequenceEqual(slot.Bytes))
        {
            text = slot.Text;
            return true;
        }
        try
        {
            text = s_strict.GetString(bytes);
        }
        catch (ArgumentException)
        {
            text = "";
            return false;
        }
        if (bytes.Length <= TextBytesMax)
            slot = (bytes.ToArray(), text);
        return true;
    }
}
