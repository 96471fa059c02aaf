using System.Text.RegularExpressions;

namespace Bellwether.EndToEnd;

/// <summary>What strace wrote about a program's syncs, with the files' paths.</summary>
internal static partial class SyncLog
{
    /// <summary>After a sync of a log file failed nobody knows what of it is on disk: the file must never be synced again (its data belongs into another). Gives how many syncs failed.</summary>
    public static int AssertNoFileIsSyncedAfterAFailure(string file)
    {
        var failed = new HashSet<string>();
        var underWay = new Dictionary<string, string>();
        foreach (string line in File.ReadLines(file))
        {
            if (Call().Match(line) is { Success: true } call)
            {
                string path = call.Groups["path"].Value;
                if (line.EndsWith("<unfinished ...>", StringComparison.Ordinal))
                    underWay[call.Groups["thread"].Value] = path;
                else
                    Ended(path, line);
            }
            else if (Resumed().Match(line) is { Success: true } resumed && underWay.Remove(resumed.Groups["thread"].Value, out string? path))
                Ended(path, line);
        }
        return failed.Count;

        void Ended(string path, string line)
        {
            if (!path.EndsWith(".seg", StringComparison.Ordinal))
                return;
            if (line.Contains("EIO", StringComparison.Ordinal))
                failed.Add(path);
            else
                Assert.False(failed.Contains(path), $"{path} was synced again after a sync of it had failed: {line}");
        }
    }

    [GeneratedRegex(@"^(?<thread>\d+) +f(data)?sync\(\d+<(?<path>[^>]*)>")]
    private static partial Regex Call();

    [GeneratedRegex(@"^(?<thread>\d+) +<\.\.\. f(data)?sync resumed>")]
    private static partial Regex Resumed();
}
