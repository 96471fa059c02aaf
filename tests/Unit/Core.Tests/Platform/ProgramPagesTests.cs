using System.Globalization;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Tests.Platform;

/// <summary>Pages of code go back to the system, and the process goes on.</summary>
public sealed class ProgramPagesTests
{
    [Fact]
    public void Pages_of_code_are_given_back_and_come_again_when_they_are_needed()
    {
        if (!OperatingSystem.IsLinux())
            return;
        // Other tests need pages meanwhile, and get them.
        bool isLess = false;
        for (int attempt = 0; attempt < 20 && !isLess; attempt++)
        {
            long before = FileBytes();
            Assert.True(ProgramPages.Release() > 1 << 20);
            isLess = FileBytes() is > 0 and long after && after <= before;
        }
        Assert.True(isLess);
        // Code that was mapped a moment ago runs as before.
        Assert.Equal("4", (2 + 2).ToString(CultureInfo.InvariantCulture));
        Assert.True(ProgramPages.Release() > 1 << 20);
    }

    private static long FileBytes()
    {
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssFile:", StringComparison.Ordinal));
        return long.Parse(line[8..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
