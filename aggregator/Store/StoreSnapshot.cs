using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Store.Blocks;
using Bellwether.Store.Reading;

namespace Bellwether.Store;

/// <summary>
/// The store as it was at one moment: its chunk files, which never change, and its checkpoint. It keeps the files from being closed until it is disposed.
/// <see cref="CopyTo"/> may run beside the writer. A copy is itself the folder of a store: restoring is putting it where the store was.
/// </summary>
public sealed class StoreSnapshot : IDisposable
{
    private const int CopyBytes = 1 << 20;
    private readonly IDisk _disk;
    private readonly string _folder;
    private readonly BlockList _files;
    private readonly IReadOnlyList<(string Name, byte[] Content)> _checkpoints;
    private bool _isDisposed;

    internal StoreSnapshot(IDisk disk, string folder, BlockList files, IReadOnlyList<(string Name, byte[] Content)> checkpoints)
    {
        _disk = disk;
        _folder = folder;
        _files = files;
        _checkpoints = checkpoints;
    }

    /// <summary>Chunk files in it.</summary>
    public int Files => _files.Files.Length;

    /// <summary>Bytes of the chunk files.</summary>
    public long Bytes => _files.Files.Sum(f => f.Bytes);

    /// <summary>
    /// Copies everything into a folder that is empty or not there, durably; the checkpoint last, and the store's id with it. Throws <see cref="IOException"/>, also when
    /// there is less room than needed and <paramref name="leaveFreeBytes"/>.
    /// </summary>
    public void CopyTo(string folder, long leaveFreeBytes, CancellationToken cancellation)
    {
        string chunks = Path.Combine(folder, "chunks");
        _disk.CreateFolder(chunks);
        if (_disk.List(folder).Count > 0 || _disk.List(chunks).Count > 0)
            throw new IOException($"{folder} is not empty");
        if (_disk.FreeBytes(folder) - Bytes < leaveFreeBytes)
            throw new IOException($"a copy needs {Bytes} bytes, and {leaveFreeBytes} must stay free; there are {_disk.FreeBytes(folder)}");
        byte[] buffer = new byte[CopyBytes];
        foreach (BlockFile file in _files.Files)
        {
            cancellation.ThrowIfCancellationRequested();
            using IDiskFile to = _disk.Open(Path.Combine(chunks, file.Name), DiskOpen.CreateNew);
            for (long at = 0; at < file.Bytes;)
            {
                int read = file.Copy(at, buffer);
                if (read == 0)
                    throw new IOException($"{file.Name} is shorter than it was");
                to.Write(at, buffer.AsSpan(0, read));
                at += read;
            }
            to.Sync();
        }
        _disk.SyncFolder(chunks);
        foreach ((string name, byte[] content) in _checkpoints)
            AtomicFile.Write(_disk, Path.Combine(folder, name), content);
        StoreIdentity.Copy(_disk, _folder, folder);
    }

    /// <summary>Lets the files go.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _files.Drop();
    }
}
