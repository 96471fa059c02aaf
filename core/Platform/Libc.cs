using System.Runtime.InteropServices;

namespace Bellwether.Core.Platform;

/// <summary>
/// The libc calls that .NET wraps wrongly or not at all: .NET 10 drops the error of fsync, cannot sync a folder, and falls back to copying when a rename crosses
/// file systems. Unix only. Each returns -1 and sets errno on failure.
/// </summary>
internal static partial class Libc
{
    public const int ReadOnly = 0;
    public const int ReadWrite = 2;
    public const int LockExclusiveNow = 2 | 4;
    public const int ErrnoInterrupted = 4;
    public const int ErrnoAgain = 11;
    public const int ErrnoNoSpace = 28;
    public const int AdviceDontNeed = 4;

    // Values differ between Linux and the BSDs (macOS).
    public static int Create => OperatingSystem.IsLinux() ? 0x40 : 0x200;

    public static int Exclusive => OperatingSystem.IsLinux() ? 0x80 : 0x800;

    public static int CloseOnExec => OperatingSystem.IsLinux() ? 0x80000 : 0x1000000;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Fsync(SafeHandle file);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int Fdatasync(SafeHandle file);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Flock(SafeHandle file, int operation);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    public static partial int Advise(nint start, nint length, int advice);

    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Rename(string from, string to);

    /// <summary>Sets what a signal does, and returns what it did before.</summary>
    [LibraryImport("libc", EntryPoint = "signal", SetLastError = true)]
    public static partial nint Signal(int signal, nint handler);
}

/// <summary>The Windows call that makes a file durable and says when it could not.</summary>
internal static partial class Kernel32
{
    [LibraryImport("kernel32", EntryPoint = "FlushFileBuffers", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    public static partial bool FlushFileBuffers(SafeHandle file);
}
