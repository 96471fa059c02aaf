using System.Text;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Store.Exchange;

/// <summary>How far imports into one store have come: an atomic file with a line per import, position first, then its key. A damaged file costs repeating imports, which changes nothing. Not thread-safe.</summary>
public sealed class ImportLedger
{
    /// <summary>The position of an import that is done.</summary>
    public const string Done = "done";

    /// <summary>Imports that are remembered; the oldest are forgotten.</summary>
    public const int MaxImports = 10_000;

    private const string FileName = "imports";
    private const int MaxBytes = 64 << 20;
    private readonly IDisk _disk;
    private readonly string _path;
    private readonly List<(string Key, string Position)> _imports = [];

    /// <summary>Reads what is known. Throws <see cref="IOException"/>.</summary>
    /// <param name="disk">Where the store is.</param>
    /// <param name="folder">The store's folder.</param>
    public ImportLedger(IDisk disk, string folder)
    {
        ArgumentNullException.ThrowIfNull(disk);
        _disk = disk;
        _path = Path.Combine(folder, FileName);
        if (AtomicFile.TryRead(disk, _path, MaxBytes, out byte[] content) != AtomicFileOutcome.Read)
            return;
        foreach (string line in Encoding.UTF8.GetString(content).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int blank = line.IndexOf(' ', StringComparison.Ordinal);
            if (blank > 0)
                _imports.Add((line[(blank + 1)..], line[..blank]));
        }
    }

    /// <summary>Where an import stands; null: it is not known.</summary>
    public string? PositionOf(string key)
    {
        int at = _imports.FindIndex(i => i.Key == key);
        return at < 0 ? null : _imports[at].Position;
    }

    /// <summary>Forgets an import.</summary>
    public void Forget(string key) => _imports.RemoveAll(i => i.Key == key);

    /// <summary>Notes durably how far an import is. Throws <see cref="IOException"/>.</summary>
    public void Note(string key, string position)
    {
        ArgumentNullException.ThrowIfNull(key);
        key = key.ReplaceLineEndings(" ");
        Forget(key);
        _imports.Add((key, position));
        if (_imports.Count > MaxImports)
            _imports.RemoveAt(0);
        AtomicFile.Write(_disk, _path, Encoding.UTF8.GetBytes(string.Concat(_imports.Select(i => $"{i.Position} {i.Key}\n"))));
    }
}
