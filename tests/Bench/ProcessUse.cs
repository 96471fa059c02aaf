using System.Globalization;

namespace Bellwether.Bench;

/// <summary>What a process has used, from /proc.</summary>
/// <param name="CpuSeconds">User and system time.</param>
/// <param name="RssBytes">Resident memory.</param>
internal readonly record struct ProcessUse(double CpuSeconds, long RssBytes)
{
    private const double TicksPerSecond = 100;
    private const int UserTimeField = 11;

    public static ProcessUse Of(int process)
    {
        string stat = File.ReadAllText($"/proc/{process}/stat");
        // The program's name, in parentheses, may hold anything.
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        double cpu = (long.Parse(fields[UserTimeField], CultureInfo.InvariantCulture) + long.Parse(fields[UserTimeField + 1], CultureInfo.InvariantCulture)) / TicksPerSecond;
        string rss = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return new ProcessUse(cpu, long.Parse(rss.AsSpan(6, rss.Length - 8).Trim(), CultureInfo.InvariantCulture) * 1024);
    }
}
