namespace Bellwether.Core.Platform;

/// <summary>What kind of disk error an exception is.</summary>
public static class DiskErrors
{
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    /// <summary>Whether the disk (or a quota) is full. .NET puts errno into <see cref="Exception.HResult"/> on Unix, and so does <see cref="OsDisk"/>.</summary>
    public static bool IsDiskFull(IOException error) => error.HResult is Libc.ErrnoNoSpace or 122 or WindowsDiskFull;

    /// <summary>The exception that a full disk gives, for disks that are not real.</summary>
    public static IOException DiskFull(string path) => new($"cannot write '{path}': No space left on device (errno 28)", Libc.ErrnoNoSpace);
}
