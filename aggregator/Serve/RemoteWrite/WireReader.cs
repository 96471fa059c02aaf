using System.Buffers.Binary;

namespace Bellwether.Serve.RemoteWrite;

/// <summary>Reads protobuf fields from bytes without allocation. Every method says false at the first byte that is not valid.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;
    private int _at;

    public readonly bool AtEnd => _at >= _bytes.Length;

    /// <summary>Bytes not read yet.</summary>
    public readonly int Left => _bytes.Length - _at;

    public bool TryField(out int number, out int type)
    {
        if (_at < _bytes.Length && _bytes[_at] is > 7 and < 0x80 and byte key)
        {
            _at++;
            number = key >> 3;
            type = key & 7;
            return true;
        }
        number = type = 0;
        if (!TryVarint(out ulong wide) || wide > uint.MaxValue)
            return false;
        number = (int)(wide >> 3);
        type = (int)(wide & 7);
        return number > 0;
    }

    public bool TryVarint(out ulong value)
    {
        if (_at < _bytes.Length && _bytes[_at] < 0x80)
        {
            value = _bytes[_at++];
            return true;
        }
        return TryLongVarint(out value);
    }

    public bool TryDouble(out double value)
    {
        if (!BinaryPrimitives.TryReadDoubleLittleEndian(_bytes[_at..], out value))
            return false;
        _at += 8;
        return true;
    }

    public bool TryBytes(out ReadOnlySpan<byte> bytes)
    {
        if (!TryVarint(out ulong length) || length > (ulong)(_bytes.Length - _at))
        {
            bytes = default;
            return false;
        }
        bytes = _bytes.Slice(_at, (int)length);
        _at += (int)length;
        return true;
    }

    /// <summary>Passes over all fields of one number that hold bytes and stand here one behind the other; stops before what is another field, long or not valid.</summary>
    public void SkipRun(int number)
    {
        int key = (number << 3) | 2;
        while (_at + 1 < _bytes.Length && _bytes[_at] == key && _bytes[_at + 1] is < 0x80 and byte length && length <= _bytes.Length - _at - 2)
            _at += 2 + length;
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
                if (Left < 4)
                    return false;
                _at += 4;
                return true;
            default:
                return false;
        }
    }

    private bool TryLongVarint(out ulong value)
    {
        value = 0;
        for (int shift = 0, at = _at; shift < 70 && at < _bytes.Length; shift += 7)
        {
            byte b = _bytes[at++];
            if (shift == 63 && b > 1)
                return false;
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                _at = at;
                return true;
            }
        }
        return false;
    }

    public static long ZigZag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);
}
