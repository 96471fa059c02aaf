using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Bellwether.Agent.Collect.Host;

/// <summary>Cuts the kernel's text files into lines, fields and numbers, over spans.</summary>
internal static class ByteText
{
    private const byte Space = (byte)' ';

    /// <summary>Takes the next line off <paramref name="rest"/> (without its line end); false at the end.</summary>
    public static bool TryLine(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> line)
    {
        if (rest.IsEmpty)
        {
            line = default;
            return false;
        }
        int end = rest.IndexOf((byte)'\n');
        line = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return true;
    }

    /// <summary>Takes the next field, split by blanks and tabs; false when there is none left.</summary>
    public static bool TryField(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> field)
    {
        int start = 0;
        while (start < rest.Length && IsBlank(rest[start]))
            start++;
        int end = start;
        while (end < rest.Length && !IsBlank(rest[end]))
            end++;
        field = rest[start..end];
        rest = rest[end..];
        return end > start;
    }

    /// <summary>Takes the next field as a number; false when there is none or it is not a number.</summary>
    public static bool TryNumber(ref ReadOnlySpan<byte> rest, out double value)
    {
        value = 0;
        return TryField(ref rest, out ReadOnlySpan<byte> field) && TryNumber(field, out value);
    }

    /// <summary>Takes the next field as an unsigned integer; false when there is none or it is not one.</summary>
    public static bool TryUnsigned(ref ReadOnlySpan<byte> rest, out ulong value)
    {
        value = 0;
        return TryField(ref rest, out ReadOnlySpan<byte> field) && TryUnsigned(field, out value);
    }

    /// <summary>A whole span as a number.</summary>
    public static bool TryNumber(ReadOnlySpan<byte> text, out double value)
    {
        if (TryUnsigned(text, out ulong whole))
        {
            value = whole;
            return true;
        }
        return Utf8Parser.TryParse(text, out value, out int used) && used == text.Length;
    }

    /// <summary>A whole span as an unsigned integer.</summary>
    public static bool TryUnsigned(ReadOnlySpan<byte> text, out ulong value) => Utf8Parser.TryParse(text, out value, out int used) && used == text.Length && used > 0;

    /// <summary>A whole span as hexadecimal digits, with or without 0x.</summary>
    public static bool TryHex(ReadOnlySpan<byte> text, out ulong value)
    {
        if (text.StartsWith("0x"u8))
            text = text[2..];
        return Utf8Parser.TryParse(text, out value, out int used, 'x') && used == text.Length && used > 0;
    }

    /// <summary>Without white space (also line ends) at both ends.</summary>
    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text)
    {
        int start = 0, end = text.Length;
        while (start < end && (text[start] <= Space))
            start++;
        while (end > start && (text[end - 1] <= Space))
            end--;
        return text[start..end];
    }

    private static bool IsBlank(byte b) => b is Space or (byte)'\t' or (byte)'\r';
}

/// <summary>Compares byte strings by content; lets a dictionary be asked with a span, without an allocation.</summary>
internal sealed class ByteKeyComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    /// <summary>The one instance.</summary>
    public static ByteKeyComparer Instance { get; } = new();

    /// <inheritdoc/>
    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    /// <inheritdoc/>
    public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

    /// <inheritdoc/>
    public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

    /// <inheritdoc/>
    public int GetHashCode(ReadOnlySpan<byte> alternate)
    {
        var hash = new HashCode();
        hash.AddBytes(alternate);
        return hash.ToHashCode();
    }

    /// <inheritdoc/>
    public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
}

/// <summary>
/// What a collector remembers per device, CPU or field, found by the bytes as they stand in the kernel's file. Entries count in
/// <see cref="HostContext.Remembered"/>, which bounds them. Not thread-safe.
/// </summary>
internal sealed class ByteMap<T>(HostContext context)
{
    private readonly Dictionary<byte[], T>.AlternateLookup<ReadOnlySpan<byte>> _entries =
        new Dictionary<byte[], T>(ByteKeyComparer.Instance).GetAlternateLookup<ReadOnlySpan<byte>>();

    /// <summary>Finds the entry of a key, or makes it with the key as text.</summary>
    public T Get(ReadOnlySpan<byte> key, Func<string, T> make)
    {
        if (_entries.TryGetValue(key, out T? found))
            return found;
        T made = make(Encoding.UTF8.GetString(key));
        _entries[key] = made;
        context.Remembered++;
        return made;
    }

    /// <summary>Visits every entry.</summary>
    public void ForEach(Action<T> visit)
    {
        foreach (T entry in _entries.Dictionary.Values)
            visit(entry);
    }
}
