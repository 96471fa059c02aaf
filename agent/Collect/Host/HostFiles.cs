using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Bellwether.Agent.Collect.Host;

/// <summary>A path as libc wants it: UTF-8, ending in a zero byte. Made once, read every tick.</summary>
internal readonly struct FilePath(string path)
{
    /// <summary>The bytes with the final zero.</summary>
    public byte[] Utf8Z { get; } = Encoding.UTF8.GetBytes(path + "\0");

    /// <inheritdoc/>
    public override string ToString() => Encoding.UTF8.GetString(Utf8Z.AsSpan(0, Utf8Z.Length - 1));
}

/// <summary>
/// Reads the kernel's small text files into one reused buffer, without an allocation per read. A returned span is valid until the next read through the same
/// object. Not thread-safe.
/// </summary>
internal sealed class HostFiles
{
    /// <summary>No kernel file that we read is larger; a longer one is cut off there (at 4096 CPUs /proc/stat has 400 KB).</summary>
    public const int FileBytesMax = 8 << 20;

    private readonly string _proc;
    private readonly string _sys;
    private readonly string _root;
    private readonly string _udev;
    private byte[] _buffer = new byte[16 << 10];

    /// <summary>Reads below the given roots.</summary>
    public HostFiles(HostCollectorOptions options)
    {
        _proc = options.ProcPath;
        _sys = options.SysPath;
        _root = options.RootPath;
        _udev = options.UdevDataPath;
    }

    /// <summary>A path below procfs.</summary>
    public FilePath Proc(string relative) => new(Path.Combine(_proc, relative));

    /// <summary>A path below sysfs.</summary>
    public FilePath Sys(string relative) => new(Path.Combine(_sys, relative));

    /// <summary>A path below the root file system.</summary>
    public FilePath Root(string relative) => new(Path.Combine(_root, relative));

    /// <summary>A path below udev's data folder.</summary>
    public FilePath Udev(string relative) => new(Path.Combine(_udev, relative));

    /// <summary>Reads a whole file; false when it cannot be opened or read.</summary>
    public bool TryRead(FilePath path, out ReadOnlySpan<byte> text)
    {
        text = default;
        int file;
        do
            file = Libc.Open(path.Utf8Z, Libc.OpenReadOnly | Libc.OpenCloseOnExec);
        while (file < 0 && Marshal.GetLastPInvokeError() == Libc.ErrorInterrupted);
        if (file < 0)
            return false;
        int length = 0;
        bool ok;
        while (true)
        {
            nint read = Libc.Read(file, _buffer.AsSpan(length), _buffer.Length - length);
            if (read < 0 && Marshal.GetLastPInvokeError() == Libc.ErrorInterrupted)
                continue;
            ok = read >= 0;
            if (read <= 0)
                break;
            length += (int)read;
            if (length < _buffer.Length)
                continue;
            if (length >= FileBytesMax)
                break;
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
        _ = Libc.Close(file);
        text = _buffer.AsSpan(0, length);
        return ok;
    }

    /// <summary>Reads a file and trims white space; false when it cannot be read.</summary>
    public bool TryReadTrimmed(FilePath path, out ReadOnlySpan<byte> text)
    {
        bool ok = TryRead(path, out text);
        text = ByteText.Trim(text);
        return ok;
    }

    /// <summary>Reads a file with one number.</summary>
    public bool TryReadNumber(FilePath path, out double value)
    {
        value = 0;
        return TryReadTrimmed(path, out ReadOnlySpan<byte> text) && ByteText.TryNumber(text, out value);
    }

    /// <summary>Reads a file as text without surrounding white space; null when it cannot be read. Allocates: for what is read once.</summary>
    public string? ReadText(FilePath path) => TryReadTrimmed(path, out ReadOnlySpan<byte> text) ? Encoding.UTF8.GetString(text) : null;

    /// <summary>The path with every link on the way resolved as the kernel does; null when there is nothing. (.NET resolves a link's <c>..</c> by text, which is wrong below another link.)</summary>
    public static string? RealPath(FilePath path)
    {
        Span<byte> resolved = stackalloc byte[Libc.PathBytesMax];
        return Libc.RealPath(path.Utf8Z, resolved) == 0 ? null : Encoding.UTF8.GetString(resolved[..resolved.IndexOf((byte)0)]);
    }

    /// <summary>Opens a folder for listing; check <see cref="FolderEntries.IsOpen"/>.</summary>
    public static FolderEntries List(FilePath folder) => new(folder);

    /// <summary>Names in a folder, ordinal order; empty when there is no such folder. Allocates: for discovery.</summary>
    public static List<string> Names(FilePath folder)
    {
        var names = new List<string>();
        using (FolderEntries entries = List(folder))
        {
            while (entries.TryNext(out ReadOnlySpan<byte> name))
                names.Add(Encoding.UTF8.GetString(name));
        }
        names.Sort(StringComparer.Ordinal);
        return names;
    }
}

/// <summary>Names in a folder, one by one, without . and .. and without an allocation. A name is valid until the next one.</summary>
internal ref struct FolderEntries
{
    // NAME_MAX is 255 bytes: no entry is longer.
    private const int EntryBytesMax = 512;

    private readonly byte[] _entry;
    private nint _directory;

    /// <summary>Opens the folder.</summary>
    public FolderEntries(FilePath folder)
    {
        _directory = Libc.OpenDirectory(folder.Utf8Z);
        _entry = ArrayPool<byte>.Shared.Rent(EntryBytesMax);
    }

    /// <summary>Whether the folder could be opened.</summary>
    public readonly bool IsOpen => _directory != 0;

    /// <summary>Moves to the next name.</summary>
    public readonly bool TryNext(out ReadOnlySpan<byte> name)
    {
        name = default;
        while (_directory != 0)
        {
            nint entry = Libc.ReadDirectory(_directory);
            if (entry == 0)
                return false;
            int length = Math.Min(EntryBytesMax, Marshal.ReadInt16(entry, Libc.DirectoryEntryLengthOffset) & 0xFFFF);
            Marshal.Copy(entry, _entry, 0, length);
            name = _entry.AsSpan(Libc.DirectoryEntryNameOffset, length - Libc.DirectoryEntryNameOffset);
            int end = name.IndexOf((byte)0);
            name = end < 0 ? name : name[..end];
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                return true;
        }
        return false;
    }

    /// <summary>Closes the folder.</summary>
    public void Dispose()
    {
        if (_directory != 0)
        {
            _ = Libc.CloseDirectory(_directory);
            _directory = 0;
        }
        ArrayPool<byte>.Shared.Return(_entry);
    }
}
