using System.Globalization;

namespace Bellwether.Core.Platform;

/// <summary>
/// Gives back the pages of programs and libraries: most were needed only to start, and they are half of a small process' resident memory. They stay in the system's cache, and what is needed again
/// is mapped again without a read. Linux only; elsewhere nothing happens. Stateless, thread-safe.
/// </summary>
public static class ProgramPages
{
    /// <summary>When a program's start is over.</summary>
    public static readonly TimeSpan Start = TimeSpan.FromSeconds(20);

    /// <summary>How often to give them back: it takes some milliseconds, and those that are needed come again by themselves.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private const string MapsFile = "/proc/self/smaps";

    /// <summary>Gives them back now. Returns how many bytes of mappings were looked over; 0 where the system does not tell.</summary>
    public static long Release()
    {
        if (!OperatingSystem.IsLinux())
            return 0;
        long released = 0;
        try
        {
            (nint Start, nint Length) mapping = default;
            foreach (string line in File.ReadLines(MapsFile))
            {
                if (TryReadHeader(line, out (nint, nint) next))
                    mapping = next;
                // Told behind the header of each mapping. A page that is not of the file any more (a breakpoint, a relocation) would be lost: such a mapping stays.
                else if (mapping.Length > 0 && line.StartsWith("Anonymous:", StringComparison.Ordinal))
                {
                    if (line.AsSpan(10).Trim().SequenceEqual("0 kB") && Libc.Advise(mapping.Start, mapping.Length, Libc.AdviceDontNeed) == 0)
                        released += mapping.Length;
                    mapping = default;
                }
            }
        }
        catch (IOException)
        {
            // No /proc: then it stays as it is.
            return released;
        }
        return released;
    }

    /// <summary>Reads "55d0-55e0 r-xp 00000000 08:01 1234 /usr/bin/x": false when the line is no header; of no length when it can be written to or is not of a file.</summary>
    private static bool TryReadHeader(string line, out (nint Start, nint Length) mapping)
    {
        mapping = default;
        int dash = line.IndexOf('-', StringComparison.Ordinal), blank = line.IndexOf(' ', StringComparison.Ordinal);
        if (dash <= 0 || blank < dash || !nint.TryParse(line.AsSpan(0, dash), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out nint start)
            || !nint.TryParse(line.AsSpan(dash + 1, blank - dash - 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out nint end))
        {
            return false;
        }
        string rest = line[(blank + 1)..];
        bool ours = (rest.StartsWith("r-xp", StringComparison.Ordinal) || rest.StartsWith("r--p", StringComparison.Ordinal) || rest.StartsWith("r--s", StringComparison.Ordinal)) && rest.Contains(" /", StringComparison.Ordinal) && !rest.Contains("memfd:", StringComparison.Ordinal);
        if (ours)
            mapping = (start, end - start);
        return true;
    }
}
