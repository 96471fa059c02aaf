using System.Buffers.Binary;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Reads protobuf fields from bytes without allocation. Every method says false at the first byte that is not valid.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.Length == 0;

    /// <summary>Bytes not read yet.</summary>
    public readonly int Left => _rest.Length;

    public bool TryField(out int number, out int type)
    {
        number = type = 0;
        if (_rest.Length > 0 && _rest[0] is > 7 and < 0x80)
        {
            number = _rest[0] >> 3;
            type = _rest[0] & 7;
            _rest = _rest[1..];
            return true;
        }
        if (!TryVarint(out ulong key) || key > uint.MaxValue)
            return false;
        number = (int)(key >> 3);
        type = (int)(key & 7);
        return number > 0;
    }

    public bool TryVarint(out ulong value)
    {
        if (_rest.Length > 0 && _rest[0] < 0x80)
        {
            value = _rest[0];
            _rest = _rest[1..];
            return true;
        }
        value = 0;
        for (int shift = 0, i = 0; shift < 70 && i < _rest.Length; shift += 7, i++)
        {
            byte b = _rest[i];
            if (shift == 63 && b > 1)
                return false;
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                _rest = _rest[(i + 1)..];
                return true;
            }
        }
        return false;
    }

    public bool TryDouble(out double value)
    {
        value = 0;
        if (_rest.Length < 8)
            return false;
        value = BinaryPrimitives.ReadDoubleLittleEndian(_rest);
        _rest = _rest[8..];
        return true;
    }

    public bool TryBytes(out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (!TryVarint(out ulong length) || length > (ulong)_rest.Length)
            return false;
        bytes = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return true;
    }

    public bool TrySkip(int type)
    {
        switch (type)
        {
            case 0:
                return TryVarint(out _);
            case 1:
                return TryDouble(out _);
            case 2:
                return TryBytes(out _);
            case 5:
                if (_rest.Length < 4)
                    return false;
                _rest = _rest[4..];
                return true;
            default:
                return false;
        }
    }

    public static long ZigZag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);
}
