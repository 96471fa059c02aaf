using System.Text;
using System.Text.Unicode;

namespace Bellwether.Core.Codec;

/// <summary>
/// Reads the codec's primitives from hostile bytes. It never throws: the first thing that does not fit sets <see cref="Outcome"/>, and from then on everything
/// reads as zero; a loop over a declared count asks <see cref="Count"/> first, so that it is bounded by the bytes that are there.
/// </summary>
internal ref struct ByteSource
{
    private readonly ReadOnlySpan<byte> _bytes;
    private int _at;

    public ByteSource(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    public DecodeOutcome Outcome { get; private set; }

    public readonly bool Ok => Outcome == DecodeOutcome.Applied;

    public readonly int Left => _bytes.Length - _at;

    public readonly ReadOnlySpan<byte> Rest => _bytes[_at..];

    public void Fail(DecodeOutcome outcome)
    {
        if (Outcome == DecodeOutcome.Applied)
            Outcome = outcome;
        _at = _bytes.Length;
    }

    public byte Byte()
    {
        if (_at < _bytes.Length)
            return _bytes[_at++];
        Fail(DecodeOutcome.Truncated);
        return 0;
    }

    public ulong Varint()
    {
        if (_at < _bytes.Length && _bytes[_at] < 0x80)
            return _bytes[_at++];
        return VarintSlow();
    }

    public long Signed()
    {
        ulong value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if (count < 0 || count > Left)
        {
            Fail(DecodeOutcome.Truncated);
            return [];
        }
        ReadOnlySpan<byte> bytes = _bytes.Slice(_at, count);
        _at += count;
        return bytes;
    }

    /// <summary>A declared number of things of at least <paramref name="bytesEach"/> bytes; over <paramref name="max"/> or over what is left fails and gives 0.</summary>
    public int Count(int bytesEach, int max)
    {
        ulong count = Varint();
        if (count > (ulong)max)
            Fail(DecodeOutcome.OverLimit);
        else if (count * (ulong)bytesEach > (ulong)Left)
            Fail(DecodeOutcome.Truncated);
        return Ok ? (int)count : 0;
    }

    /// <summary>A text with its length before it; invalid UTF-8 fails.</summary>
    public string String(int bytesMax)
    {
        int count = Count(1, bytesMax);
        ReadOnlySpan<byte> bytes = Bytes(count);
        if (!Utf8.IsValid(bytes))
        {
            Fail(DecodeOutcome.Malformed);
            return "";
        }
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>Fails when bytes are left over.</summary>
    public void End()
    {
        if (Ok && Left != 0)
            Fail(DecodeOutcome.Malformed);
    }

    private ulong VarintSlow()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (_at >= _bytes.Length)
            {
                Fail(DecodeOutcome.Truncated);
                return 0;
            }
            byte b = _bytes[_at++];
            if (shift == 63 && b > 1)
                break;
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        Fail(DecodeOutcome.Malformed);
        return 0;
    }
}
