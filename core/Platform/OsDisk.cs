using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Bellwether.Core.Platform;

/// <summary>
/// The real disk. Reads and writes go through <see cref="RandomAccess"/>, which reports its errors; everything that makes something durable goes to the operating
/// system directly, since .NET 10 does not report a failed fsync. Linux is what it is made for; on other systems a folder's sync is left out where there is none.
/// Thread-safe.
/// </summary>
public sealed class OsDisk : IDisk
{
    private const string LockName = "lock";
    private const uint PrivateMode = 0x180; // 0600

    /// <inheritdoc/>
    public IDiskFile Open(string path, DiskOpen mode)
    {
        SafeFileHandle handle = OperatingSystem.IsWindows() ? OpenManaged(path, mode) : OpenUnix(path, mode);
        return new OsFile(path, handle);
    }

    /// <inheritdoc/>
    public bool Exists(string path) => File.Exists(path);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder)
    {
        if (!Directory.Exists(folder))
            return [];
        string[] names = Reported("list", folder, () => Directory.GetFiles(folder));
        for (int i = 0; i < names.Length; i++)
            names[i] = Path.GetFileName(names[i]);
        Array.Sort(names, StringComparer.Ordinal);
        return names;
    }

    /// <inheritdoc/>
    public void CreateFolder(string folder)
    {
        string full = Path.GetFullPath(folder);
        if (Directory.Exists(full))
            return;
        string? parent = Path.GetDirectoryName(full);
        if (parent is not null)
            CreateFolder(parent);
        Reported("make", full, () => OperatingSystem.IsWindows()
            ? Directory.CreateDirectory(full)
            : Directory.CreateDirectory(full, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
        if (parent is not null)
            SyncFolder(parent);
    }

    /// <inheritdoc/>
    public void Delete(string path)
    {
        Reported("delete", path, () =>
        {
            if (File.Exists(path))
                File.Delete(path);
            return true;
        });
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        if (OperatingSystem.IsWindows())
            File.Move(from, to, overwrite: true);
        else if (Libc.Rename(from, to) != 0)
            throw LastError("rename", $"{from}' to '{to}");
    }

    /// <inheritdoc/>
    public void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
            return; // NTFS journals names; there is no call to wait for it.
        using SafeFileHandle handle = OpenUnix(folder, Libc.ReadOnly | Libc.CloseOnExec);
        while (Libc.Fsync(handle) != 0)
        {
            if (Marshal.GetLastPInvokeError() != Libc.ErrnoInterrupted)
                throw LastError("sync folder", folder);
        }
    }

    /// <inheritdoc/>
    public long FreeBytes(string folder) => Reported("look at", folder, () => new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace);

    /// <inheritdoc/>
    public IDisposable Lock(string folder)
    {
        string path = Path.Combine(folder, LockName);
        if (OperatingSystem.IsWindows())
            return File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        SafeFileHandle handle = OpenUnix(path, Libc.ReadWrite | Libc.Create | Libc.CloseOnExec);
        while (Libc.Flock(handle, Libc.LockExclusiveNow) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno == Libc.ErrnoInterrupted)
                continue;
            handle.Dispose();
            if (errno is Libc.ErrnoAgain or 35)
                throw new IOException($"the folder '{folder}' is in use by another process (its file '{LockName}' is locked)");
            throw Error("lock", path, errno);
        }
        return handle;
    }

    private static SafeFileHandle OpenUnix(string path, DiskOpen mode) => OpenUnix(path, Libc.CloseOnExec | mode switch
    {
        DiskOpen.CreateNew => Libc.ReadWrite | Libc.Create | Libc.Exclusive,
        DiskOpen.Existing => Libc.ReadWrite,
        _ => Libc.ReadOnly,
    });

    private static SafeFileHandle OpenUnix(string path, int flags)
    {
        while (true)
        {
            int descriptor = Libc.Open(path, flags, PrivateMode);
            if (descriptor >= 0)
                return new SafeFileHandle(descriptor, ownsHandle: true);
            int errno = Marshal.GetLastPInvokeError();
            if (errno == 2)
                throw new FileNotFoundException($"cannot open '{path}': {Marshal.GetPInvokeErrorMessage(errno)}", path);
            if (errno != Libc.ErrnoInterrupted)
                throw Error("open", path, errno);
        }
    }

    private static SafeFileHandle OpenManaged(string path, DiskOpen mode) => File.OpenHandle(
        path,
        mode == DiskOpen.CreateNew ? FileMode.CreateNew : FileMode.Open,
        mode == DiskOpen.ReadOnly ? FileAccess.Read : FileAccess.ReadWrite,
        FileShare.ReadWrite | FileShare.Delete);

    private static IOException LastError(string what, string path) => Error(what, path, Marshal.GetLastPInvokeError());

    private static IOException Error(string what, string path, int errno) =>
        new($"cannot {what} '{path}': {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})", errno);

    /// <summary>Makes an <see cref="IOException"/> of EACCES and EPERM, for which .NET has another kind.</summary>
    private static T Reported<T>(string what, string path, Func<T> call)
    {
        try
        {
            return call();
        }
        catch (UnauthorizedAccessException e)
        {
            throw NotPermitted(what, path, e);
        }
    }

    private static IOException NotPermitted(string what, string path, UnauthorizedAccessException e) => new($"cannot {what} '{path}': {e.Message}", e);

    private static IOException TooLarge(string path, ArgumentOutOfRangeException e) => new($"cannot write '{path}': the file may not grow any more ({e.Message})", e);

    private sealed class OsFile(string path, SafeFileHandle handle) : IDiskFile
    {
        public long Length => RandomAccess.GetLength(handle);

        public int Read(long offset, Span<byte> into)
        {
            int total = 0;
            while (total < into.Length)
            {
                int read = RandomAccess.Read(handle, into[total..], offset + total);
                if (read == 0)
                    break;
                total += read;
            }
            return total;
        }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(offset);
            try
            {
                RandomAccess.Write(handle, bytes, offset);
            }
            catch (ArgumentOutOfRangeException e)
            {
                throw TooLarge(path, e);
            }
            catch (UnauthorizedAccessException e)
            {
                throw NotPermitted("write", path, e);
            }
        }

        public void SetLength(long length)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(length);
            try
            {
                RandomAccess.SetLength(handle, length);
            }
            catch (ArgumentOutOfRangeException e)
            {
                throw TooLarge(path, e);
            }
            catch (UnauthorizedAccessException e)
            {
                throw NotPermitted("write", path, e);
            }
        }

        public void Sync()
        {
            if (OperatingSystem.IsWindows())
            {
                if (!Kernel32.FlushFileBuffers(handle))
                    throw LastError("sync", path);
                return;
            }
            // fdatasync also writes the length; only times are left out. macOS has no prototype for it and takes fsync.
            while ((OperatingSystem.IsLinux() ? Libc.Fdatasync(handle) : Libc.Fsync(handle)) != 0)
            {
                if (Marshal.GetLastPInvokeError() != Libc.ErrnoInterrupted)
                    throw LastError("sync", path);
            }
        }

        public void Dispose() => handle.Dispose();
    }
}
