using System.Buffers.Binary;

namespace Bellwether.Store.Exchange;

/// <summary>Reads the bits of a chunk of Prometheus, highest bit first. Bounded by the bytes; what does not fit throws <see cref="InvalidDataException"/>.</summary>
internal ref struct TsdbBits(ReadOnlySpan<byte> bytes)
{
    private static readonly byte[] s_varbitSizes = [0, 3, 6, 9, 12, 18, 25, 56, 64];
    private readonly ReadOnlySpan<byte> _bytes = bytes;
    private long _at;

    public bool Bit() => Bits(1) != 0;

    public ulong Bits(int count)
    {
        if (_at + count > (long)_bytes.Length * 8)
            throw new InvalidDataException("the chunk ends before the samples that it announces");
        ulong value = 0;
        while (count > 0)
        {
            int inByte = (int)(_at & 7), take = Math.Min(8 - inByte, count);
            uint part = (uint)(_bytes[(int)(_at >> 3)] >> (8 - inByte - take)) & ((1u << take) - 1);
            value = (value << take) | part;
            _at += take;
            count -= take;
        }
        return value;
    }

    public byte Byte() => (byte)Bits(8);

    public double Double() => BitConverter.UInt64BitsToDouble(Bits(64));

    /// <summary>Go's uvarint, byte by byte.</summary>
    public ulong Uvarint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte b = Byte();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        throw new InvalidDataException("a varint of the chunk has more than 10 bytes");
    }

    public long Varint()
    {
        ulong raw = Uvarint();
        return (long)(raw >> 1) ^ -(long)(raw & 1);
    }

    /// <summary>The difference of differences of two times in a chunk of floats.</summary>
    public long TimeDifference()
    {
        int ones = Ones(4);
        return ones switch { 0 => 0, 1 => Signed(14), 2 => Signed(17), 3 => Signed(20), _ => (long)Bits(64) };
    }

    /// <summary>A signed integer of variable width.</summary>
    public long VarbitInt()
    {
        int size = s_varbitSizes[Ones(8)];
        return size switch { 0 => 0, 64 => (long)Bits(64), _ => Signed(size) };
    }

    /// <summary>An unsigned integer of variable width.</summary>
    public ulong VarbitUint()
    {
        int size = s_varbitSizes[Ones(8)];
        return size == 0 ? 0 : Bits(size);
    }

    /// <summary>A count that must not be above a limit.</summary>
    public int Count(int limit, string what)
    {
        ulong value = VarbitUint();
        return value <= (ulong)limit ? (int)value : throw new InvalidDataException($"the chunk announces {value} {what}; {limit} are allowed");
    }

    private int Ones(int limit)
    {
        int ones = 0;
        while (ones < limit && Bit())
            ones++;
        return ones;
    }

    private long Signed(int size)
    {
        long value = (long)Bits(size);
        return value > 1L << (size - 1) ? value - (1L << size) : value;
    }
}

/// <summary>A column of floats in a chunk, each the XOR with the one before.</summary>
internal struct TsdbXor
{
    private ulong _bits;
    private int _leading;
    private int _trailing;

    public readonly double Value => BitConverter.UInt64BitsToDouble(_bits);

    public void Begin(ref TsdbBits from) => _bits = from.Bits(64);

    public void Next(ref TsdbBits from)
    {
        if (!from.Bit())
            return;
        if (from.Bit())
        {
            _leading = (int)from.Bits(5);
            int kept = (int)from.Bits(6);
            _trailing = 64 - _leading - (kept == 0 ? 64 : kept);
            if (_trailing < 0)
                throw new InvalidDataException("a value of the chunk has more than 64 bits");
        }
        _bits ^= from.Bits(64 - _leading - _trailing) << _trailing;
    }
}

/// <summary>Writes the bits of a chunk, highest bit first.</summary>
internal sealed class TsdbBitWriter
{
    private static readonly byte[] s_varbitSizes = [0, 3, 6, 9, 12, 18, 25, 56, 64];
    private byte[] _bytes = new byte[1024];
    private long _bits;

    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    public int Length => (int)((_bits + 7) >> 3);

    public void Clear()
    {
        _bytes.AsSpan(0, Length).Clear();
        _bits = 0;
    }

    public void Bits(ulong value, int count)
    {
        if (((_bits + count + 7) >> 3) > _bytes.Length)
            Array.Resize(ref _bytes, _bytes.Length * 2);
        while (count > 0)
        {
            int inByte = (int)(_bits & 7), take = Math.Min(8 - inByte, count);
            uint part = (uint)(value >> (count - take)) & ((1u << take) - 1);
            _bytes[(int)(_bits >> 3)] |= (byte)(part << (8 - inByte - take));
            _bits += take;
            count -= take;
        }
    }

    public void Byte(byte value) => Bits(value, 8);

    public void Double(double value) => Bits(BitConverter.DoubleToUInt64Bits(value), 64);

    public void Uvarint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            Byte((byte)(value | 0x80));
        Byte((byte)value);
    }

    public void Varint(long value) => Uvarint((ulong)((value << 1) ^ (value >> 63)));

    public void TimeDifference(long value)
    {
        if (value == 0)
            Bits(0, 1);
        else if (Fits(value, 14))
            Prefixed(0b10, 2, value, 14);
        else if (Fits(value, 17))
            Prefixed(0b110, 3, value, 17);
        else if (Fits(value, 20))
            Prefixed(0b1110, 4, value, 20);
        else
            Prefixed(0b1111, 4, value, 64);
    }

    public void VarbitInt(long value)
    {
        int size = 0;
        while (size < 8 && !(size == 0 ? value == 0 : Fits(value, s_varbitSizes[size])))
            size++;
        Sized((ulong)value, size);
    }

    public void VarbitUint(ulong value)
    {
        int size = 0;
        while (size < 8 && !(size == 0 ? value == 0 : value < 1UL << s_varbitSizes[size]))
            size++;
        Sized(value, size);
    }

    /// <summary>The number of samples stands in the first two bytes.</summary>
    public void PatchCount(int count) => BinaryPrimitives.WriteUInt16BigEndian(_bytes, (ushort)count);

    private static bool Fits(long value, int size) => value >= -((1L << (size - 1)) - 1) && value <= 1L << (size - 1);

    private void Prefixed(uint prefix, int length, long value, int size)
    {
        Bits(prefix, length);
        Bits((ulong)value, size);
    }

    private void Sized(ulong value, int size)
    {
        for (int i = 0; i < size; i++)
            Bits(1, 1);
        if (size < 8)
            Bits(0, 1);
        Bits(value, s_varbitSizes[size]);
    }
}

/// <summary>Writes a column of floats, each the XOR with the one before.</summary>
internal struct TsdbXorWriter
{
    private ulong _bits;
    private int _leading;
    private int _trailing;

    public void Begin(double value, TsdbBitWriter into)
    {
        _bits = BitConverter.DoubleToUInt64Bits(value);
        _leading = 64;
        into.Bits(_bits, 64);
    }

    public void Next(double value, TsdbBitWriter into)
    {
        ulong bits = BitConverter.DoubleToUInt64Bits(value), xor = bits ^ _bits;
        _bits = bits;
        into.Bits(xor == 0 ? 0UL : 1UL, 1);
        if (xor == 0)
            return;
        int leading = Math.Min(31, System.Numerics.BitOperations.LeadingZeroCount(xor)), trailing = System.Numerics.BitOperations.TrailingZeroCount(xor);
        if (_leading < 64 && leading >= _leading && trailing >= _trailing)
        {
            into.Bits(0, 1);
        }
        else
        {
            (_leading, _trailing) = (leading, trailing);
            int kept = 64 - leading - trailing;
            into.Bits(1, 1);
            into.Bits((ulong)leading, 5);
            into.Bits((ulong)(kept & 63), 6);
        }
        into.Bits(xor >> _trailing, 64 - _leading - _trailing);
    }
}
