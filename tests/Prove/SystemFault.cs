using System.Globalization;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>A failure of the operating system that befalls a running program for a while.</summary>
/// <param name="Name">What it is, in words.</param>
/// <param name="OnAgent">On an agent; else on the aggregator.</param>
/// <param name="Kind">How it is brought about.</param>
/// <param name="What">The system calls and their error for strace, or the number for a limit.</param>
internal sealed record SystemFault(string Name, bool OnAgent, FaultKind Kind, string What = "")
{
    private static readonly (string Name, FaultKind Kind, string What)[] s_kinds =
    [
        ("syncs fail (EIO)", FaultKind.Calls, "fdatasync,fsync:error=EIO"),
        ("syncs say that the disk is full (ENOSPC)", FaultKind.Calls, "fdatasync,fsync:error=ENOSPC"),
        ("writes to files find the disk full (ENOSPC)", FaultKind.Calls, "pwrite64,pwritev:error=ENOSPC"),
        ("writes to files fail (EIO)", FaultKind.Calls, "pwrite64,pwritev:error=EIO"),
        ("files grow no more (EFBIG)", FaultKind.Calls, "pwrite64,pwritev,ftruncate,fallocate:error=EFBIG"),
        ("reads of files fail (EIO)", FaultKind.Calls, "pread64,preadv:error=EIO"),
        ("no room to make files longer (ENOSPC)", FaultKind.Calls, "ftruncate,fallocate:error=ENOSPC"),
        ("renames and deletions fail (EROFS)", FaultKind.Calls, "rename,renameat,renameat2,unlink,unlinkat:error=EROFS"),
        ("no file can be opened (EMFILE)", FaultKind.Calls, "openat:error=EMFILE"),
        ("no socket can be made (EMFILE)", FaultKind.Calls, "socket,accept,accept4:error=EMFILE"),
        ("connections are reset while they are read (ECONNRESET)", FaultKind.Calls, "recvfrom,recvmsg:error=ECONNRESET"),
        ("connections are reset while they are written (EPIPE)", FaultKind.Calls, "sendto,sendmsg:error=EPIPE"),
        ("every call to the disk takes 50 ms", FaultKind.Calls, "fdatasync,fsync,pwrite64,pread64:delay_enter=50000"),
        ("the limit of open files is reached (RLIMIT_NOFILE)", FaultKind.OpenFiles, ""),
        ("stopped (SIGSTOP)", FaultKind.Stop, ""),
    ];

    /// <summary>Every kind, on either side.</summary>
    public static IReadOnlyList<SystemFault> All { get; } = [.. s_kinds.SelectMany(k => new[] { true, false }.Select(onAgent => new SystemFault(k.Name, onAgent, k.Kind, k.What)))];

    /// <summary>Whether this machine lets a process be traced; null: it does, else the reason.</summary>
    public static async Task<string?> WhyNotAsync()
    {
        if (!OperatingSystem.IsLinux())
            return "system calls are made to fail by strace, which is Linux's";
        try
        {
            await using Running sleep = Running.Start("sleep", "/", "60");
            (int code, string output) = await Running.ToEndAsync("timeout", "/", "-s", "INT", "0.3", "strace", "-p", sleep.Id.ToString(CultureInfo.InvariantCulture));
            return output.Contains("attached", StringComparison.Ordinal) ? null : $"strace may not attach to a process (code {code}: {output})";
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return "strace is not installed: " + e.Message;
        }
    }

    /// <summary>Lets it befall a program for a time.</summary>
    public async Task BefallAsync(Running program, TimeSpan length, TimeProvider time, CancellationToken cancel)
    {
        string id = program.Id.ToString(CultureInfo.InvariantCulture);
        switch (Kind)
        {
            case FaultKind.Stop:
                program.Signal("STOP");
                await Task.Delay(length, time, cancel);
                program.Signal("CONT");
                break;
            case FaultKind.OpenFiles:
                string before = await LimitAsync(id);
                int open = Directory.GetFileSystemEntries($"/proc/{id}/fd").Length;
                await SetLimitAsync(id, open.ToString(CultureInfo.InvariantCulture));
                await Task.Delay(length, time, cancel);
                if (!program.HasExited)
                    await SetLimitAsync(id, before);
                break;
            default:
                await using (Running strace = Running.Start("strace", "/", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + What[..What.IndexOf(':', StringComparison.Ordinal)], "-e", "inject=" + What, "-p", id))
                {
                    await Task.Delay(length, time, cancel);
                    if (strace.HasExited)
                        throw new InvalidOperationException($"strace ended: {strace.Output}");
                    strace.Signal("INT");
                    await strace.EndedAsync(cancel);
                }
                break;
        }
    }

    private static async Task<string> LimitAsync(string id) => (await PrlimitAsync("--pid", id, "--nofile", "--raw", "--noheadings", "--output", "SOFT")).Trim();

    private static Task SetLimitAsync(string id, string soft) => PrlimitAsync("--pid", id, $"--nofile={soft}:");

    private static async Task<string> PrlimitAsync(params string[] arguments)
    {
        (int code, string output) = await Running.ToEndAsync("prlimit", "/", arguments);
        return code == 0 ? output : throw new InvalidOperationException($"prlimit {string.Join(' ', arguments)}: {output}");
    }
}

/// <summary>How a fault is brought about.</summary>
internal enum FaultKind
{
    /// <summary>System calls fail or wait, by strace.</summary>
    Calls,

    /// <summary>The limit of open files is what is open.</summary>
    OpenFiles,

    /// <summary>SIGSTOP, SIGCONT.</summary>
    Stop,
}
