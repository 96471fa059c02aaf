using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Bellwether.Agent.Collect.Host;

/// <summary>The libc calls of the host collectors: files without a handle object per read, mounts, uname, folders. Linux, 64 bit (glibc and musl agree on these layouts).</summary>
internal static partial class Libc
{
    public const int OpenReadOnly = 0;
    public const int OpenCloseOnExec = 0x80000;
    public const int ErrorInterrupted = 4;

    /// <summary>Where d_reclen, the entry's length in two bytes, is in a struct dirent of 64-bit Linux.</summary>
    public const int DirectoryEntryLengthOffset = 16;

    /// <summary>Where d_name starts in a struct dirent of 64-bit Linux.</summary>
    public const int DirectoryEntryNameOffset = 19;

    /// <summary>PATH_MAX: what realpath writes at most.</summary>
    public const int PathBytesMax = 4096;

    /// <summary>Length of a field of struct utsname.</summary>
    public const int UtsFieldLength = 65;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    public static partial int Open(ReadOnlySpan<byte> path, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int file, Span<byte> buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "statvfs", SetLastError = true)]
    public static partial int StatVfs(ReadOnlySpan<byte> path, out StatVfsResult result);

    [LibraryImport("libc", EntryPoint = "uname", SetLastError = true)]
    public static partial int Uname(Span<byte> fields);

    [LibraryImport("libc", EntryPoint = "opendir", SetLastError = true)]
    public static partial nint OpenDirectory(ReadOnlySpan<byte> path);

    [LibraryImport("libc", EntryPoint = "readdir", SetLastError = true)]
    public static partial nint ReadDirectory(nint directory);

    [LibraryImport("libc", EntryPoint = "closedir", SetLastError = true)]
    public static partial int CloseDirectory(nint directory);

    [LibraryImport("libc", EntryPoint = "realpath", SetLastError = true)]
    public static partial nint RealPath(ReadOnlySpan<byte> path, Span<byte> resolved);

    [LibraryImport("libc", EntryPoint = "localtime_r", SetLastError = true)]
    public static partial nint LocalTime(ref readonly long time, out BrokenDownTime result);

    /// <summary>struct statvfs, padded beyond what any libc writes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct StatVfsResult
    {
        public ulong BlockSize;
        public ulong FragmentSize;
        public ulong Blocks;
        public ulong BlocksFree;
        public ulong BlocksAvailable;
        public ulong Files;
        public ulong FilesFree;
        public ulong FilesAvailable;
        public ulong Id;
        public ulong Flags;
        public ulong NameMax;
        public StatVfsSpare Spare;
    }

    /// <summary>struct tm.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct BrokenDownTime
    {
        public BrokenDownFields Fields;
        public long OffsetSeconds;
        public nint ZoneName;
        public BrokenDownSpare Spare;
    }

    /// <summary>Room behind struct statvfs.</summary>
    [InlineArray(16)]
    public struct StatVfsSpare
    {
        private ulong _first;
    }

    /// <summary>tm_sec to tm_isdst.</summary>
    [InlineArray(9)]
    public struct BrokenDownFields
    {
        private int _first;
    }

    /// <summary>Room behind struct tm.</summary>
    [InlineArray(4)]
    public struct BrokenDownSpare
    {
        private ulong _first;
    }
}
