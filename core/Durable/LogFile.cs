using System.Globalization;

namespace Bellwether.Core.Durable;

/// <summary>What the log knows of one of its files.</summary>
internal sealed class LogFile(ulong number, ulong firstSequence, long createdMs, uint seed)
{
    public const string Extension = ".seg";
    public const string SpareExtension = ".free";

    public ulong Number { get; } = number;

    public ulong FirstSequence { get; set; } = firstSequence;

    public ulong NextSequence { get; set; } = firstSequence;

    public long CreatedMs { get; } = createdMs;

    public uint Seed { get; } = seed;

    /// <summary>Where its durable frames end.</summary>
    public long End { get; set; } = LogFormat.HeaderBytes;

    public LogFileInfo Info => new(Number, FirstSequence, NextSequence, End, CreatedMs);

    public static string Name(ulong number) => number.ToString("D16", CultureInfo.InvariantCulture) + Extension;

    public static string SpareName(ulong number) => number.ToString("D16", CultureInfo.InvariantCulture) + SpareExtension;

    public static bool TryNumber(string name, string extension, out ulong number)
    {
        number = 0;
        return name.EndsWith(extension, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, name.Length - extension.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
