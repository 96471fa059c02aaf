using Bellwether.Core.Platform;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>The real disk, which takes no chunk file until it is told to.</summary>
internal sealed class GatedDisk : IDisk
{
    private readonly OsDisk _inner = new();
    private readonly ManualResetEventSlim _open = new();
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Reached => _reached.Task;

    public void Open() => _open.Set();

    public IDiskFile Open(string path, DiskOpen mode)
    {
        if (mode == DiskOpen.CreateNew && path.Contains("chunks", StringComparison.Ordinal))
        {
            _reached.TrySetResult();
            _open.Wait();
        }
        return _inner.Open(path, mode);
    }

    public bool Exists(string path) => _inner.Exists(path);

    public IReadOnlyList<string> List(string folder) => _inner.List(folder);

    public void CreateFolder(string folder) => _inner.CreateFolder(folder);

    public void Delete(string path) => _inner.Delete(path);

    public void Rename(string from, string to) => _inner.Rename(from, to);

    public void SyncFolder(string folder) => _inner.SyncFolder(folder);

    /// <summary>It does not say how much room there is.</summary>
    public bool HidesItsRoom { get; set; }

    public long FreeBytes(string folder) => HidesItsRoom ? throw new IOException("cannot look at the disk") : _inner.FreeBytes(folder);

    public IDisposable Lock(string folder) => _inner.Lock(folder);
}
