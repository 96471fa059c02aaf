using System.Runtime.InteropServices;

namespace Bellwether.Agent.Collect.Host;

/// <summary>The libc calls of the host collectors: files without a handle object per read, mounts, uname, folders. Linux, 64 bit (glibc and musl agree on these layouts).</summary>
internal static unsafe partial class Libc
{
    public const int OpenReadOnly = 0;
    public const int OpenCloseOnExec = 0x80000;
    public const int ErrorInterrupted = 4;

    /// <summary>Where d_name starts in a struct dirent of 64-bit Linux.</summary>
    public const int DirectoryEntryNameOffset = 19;

    /// <summary>PATH_MAX: what realpath writes at most.</summary>
    public const int PathBytesMax = 4096;

    /// <summary>Length of a field of struct utsname.</summary>
    public const int UtsFieldLength = 65;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    public static partial int Open(byte* path, int flags);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int file, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "statvfs", SetLastError = true)]
    public static partial int StatVfs(byte* path, StatVfsResult* result);

    [LibraryImport("libc", EntryPoint = "uname", SetLastError = true)]
    public static partial int Uname(byte* fields);

    [LibraryImport("libc", EntryPoint = "opendir", SetLastError = true)]
    public static partial nint OpenDirectory(byte* path);

    [LibraryImport("libc", EntryPoint = "readdir", SetLastError = true)]
    public static partial byte* ReadDirectory(nint directory);

    [LibraryImport("libc", EntryPoint = "closedir", SetLastError = true)]
    public static partial int CloseDirectory(nint directory);

    [LibraryImport("libc", EntryPoint = "realpath", SetLastError = true)]
    public static partial byte* RealPath(byte* path, byte* resolved);

    [LibraryImport("libc", EntryPoint = "localtime_r", SetLastError = true)]
    public static partial nint LocalTime(long* time, BrokenDownTime* result);

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
        public fixed ulong Spare[16];
    }

    /// <summary>struct tm.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct BrokenDownTime
    {
        public fixed int Fields[9];
        public long OffsetSeconds;
        public byte* ZoneName;
        public fixed ulong Spare[4];
    }
}
