namespace Bellwether.Core.Platform;

/// <summary>What kind of disk error an exception is.</summary>
public static class DiskErrors
{
    private const int WindowsDiskFull = unchecked((int)0x80070070);

    /// <summary>Whether the disk (or a quota) is full. .NET puts errno into <see cref="Exception.HResult"/> on Unix, and so does <see cref="OsDisk"/>.</summary>
    public static bool IsDiskFull(IOException error) => error.HResult is Libc.ErrnoNoSpace or 122 or WindowsDiskFull;

    /// <summary>Whether the medium cannot give back what was written (EIO, EBADMSG, ENODATA, EREMOTEIO, EUCLEAN; a CRC error on Windows).</summary>
    public static bool IsBadSector(IOException error) => error.HResult is 5 or 74 or 61 or 121 or 117 or unchecked((int)0x80070017);

    /// <summary>
    /// Whether it says nothing of the file's content: the process may not look at it now (EPERM, EACCES) or has no room to (EMFILE, ENFILE, ENOMEM). What is behind it must not be
    /// taken for lost.
    /// </summary>
    public static bool IsOfTheProcess(IOException error) => error.InnerException is UnauthorizedAccessException || error.HResult is 1 or 13 or 12 or 23 or 24;

    /// <summary>The exception that a full disk gives, for disks that are not real.</summary>
    public static IOException DiskFull(string path) => new($"cannot write '{path}': No space left on device (errno 28)", Libc.ErrnoNoSpace);
}
