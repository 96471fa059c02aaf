namespace Bellwether.Core.Platform;

/// <summary>
/// The door to the disk for everything that must be durable. The real one calls libc for every sync, since .NET does not report a failed fsync; the tests' one
/// tears, loses and fails. Paths are absolute or relative to the process. All calls are synchronous and may throw <see cref="IOException"/>; a failed
/// <see cref="IDiskFile.Sync"/> is fatal for that file.
/// </summary>
public interface IDisk
{
    /// <summary>Opens a file for reading and writing.</summary>
    IDiskFile Open(string path, DiskOpen mode);

    /// <summary>Whether a file is there.</summary>
    bool Exists(string path);

    /// <summary>Names (without folder) of the files in a folder, in ordinal order; empty when there is no such folder.</summary>
    IReadOnlyList<string> List(string folder);

    /// <summary>Makes a folder and its parents, mode 0700, durably.</summary>
    void CreateFolder(string folder);

    /// <summary>Deletes a file; a missing one is fine. Durable only after <see cref="SyncFolder"/>.</summary>
    void Delete(string path);

    /// <summary>Renames within one file system, replacing what is there. Durable only after <see cref="SyncFolder"/>.</summary>
    void Rename(string from, string to);

    /// <summary>Makes creations, renames and deletions in a folder durable.</summary>
    void SyncFolder(string folder);

    /// <summary>Bytes free to this process on the file system of a folder.</summary>
    long FreeBytes(string folder);

    /// <summary>Takes the folder for this process alone until disposed. Throws <see cref="IOException"/> that names the folder when another process has it.</summary>
    IDisposable Lock(string folder);
}

/// <summary>How to open a file.</summary>
public enum DiskOpen
{
    /// <summary>It must not be there; made with mode 0600.</summary>
    CreateNew,
    /// <summary>It must be there.</summary>
    Existing,
    /// <summary>It must be there and will only be read.</summary>
    ReadOnly,
}

/// <summary>An open file. Not thread-safe, except that reads may run beside one writer.</summary>
public interface IDiskFile : IDisposable
{
    /// <summary>Its length in bytes.</summary>
    long Length { get; }

    /// <summary>Reads up to the span's length at an offset; returns the bytes read, less than asked only at the file's end.</summary>
    int Read(long offset, Span<byte> into);

    /// <summary>Writes all bytes at an offset.</summary>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Cuts or extends (with zeros).</summary>
    void SetLength(long length);

    /// <summary>Makes all writes before it durable (fdatasync). Any error is thrown and is fatal for this file: never acknowledge, never write to it again.</summary>
    void Sync();
}
