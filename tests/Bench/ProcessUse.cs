using System.Globalization;

namespace Bellwether.Bench;

/// <summary>What a process has used, from /proc.</summary>
/// <param name="CpuSeconds">User and system time.</param>
/// <param name="RssBytes">Resident memory.</param>
/// <param name="RssFileBytes">Of it: pages of files (programs, libraries), which other processes share and the system takes back when it needs them.</param>
/// <param name="Threads">Threads that there are.</param>
internal readonly record struct ProcessUse(double CpuSeconds, long RssBytes, long RssFileBytes, int Threads)
{
    private const double TicksPerSecond = 100;
    private const int UserTimeField = 11;

    public static ProcessUse Of(int process)
    {
        string stat = File.ReadAllText($"/proc/{process}/stat");
        // The program's name, in parentheses, may hold anything.
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        double cpu = (long.Parse(fields[UserTimeField], CultureInfo.InvariantCulture) + long.Parse(fields[UserTimeField + 1], CultureInfo.InvariantCulture)) / TicksPerSecond;
        string[] status = File.ReadAllLines($"/proc/{process}/status");
        return new ProcessUse(cpu, Number(status, "VmRSS:") * 1024, Number(status, "RssFile:") * 1024, (int)Number(status, "Threads:"));
    }

    private static long Number(string[] status, string name)
    {
        string line = status.First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
    }
}
