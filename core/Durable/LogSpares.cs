using Bellwether.Core.Platform;

namespace Bellwether.Core.Durable;

/// <summary>Freed files of a log that are kept to be written over: their room on the disk is taken already. Not thread-safe: the log's owner covers it.</summary>
/// <param name="disk">The disk.</param>
/// <param name="folder">The log's folder.</param>
/// <param name="found">Numbers of those that are there.</param>
/// <param name="noteError">Told of what the disk refuses.</param>
internal sealed class LogSpares(IDisk disk, string folder, List<ulong> found, Action<IOException> noteError)
{
    /// <summary>How many there are.</summary>
    public int Count => found.Count;

    /// <summary>Gives the newest one another name; false: there is none. Throws <see cref="IOException"/>; then it is a spare no more.</summary>
    public bool TryTake(string path)
    {
        if (found.Count == 0)
            return false;
        string spare = Path.Combine(folder, LogFile.SpareName(found[^1]));
        found.RemoveAt(found.Count - 1);
        disk.Rename(spare, path);
        return true;
    }

    /// <summary>Keeps a file of the log as a spare; false: the disk does not take the name.</summary>
    public bool TryAdd(ulong number)
    {
        try
        {
            disk.Rename(Path.Combine(folder, LogFile.Name(number)), Path.Combine(folder, LogFile.SpareName(number)));
            found.Add(number);
            return true;
        }
        catch (IOException error)
        {
            noteError(error);
            return false;
        }
    }

    /// <summary>Deletes them all, so that others have their room; false: there was none.</summary>
    public bool Release()
    {
        bool any = found.Count > 0;
        while (found.Count > 0)
        {
            ulong spare = found[^1];
            found.RemoveAt(found.Count - 1);
            TryDelete(LogFile.SpareName(spare));
        }
        return any;
    }

    /// <summary>Deletes a file of the folder; false: the disk refuses.</summary>
    public bool TryDelete(string name)
    {
        try
        {
            disk.Delete(Path.Combine(folder, name));
            return true;
        }
        catch (IOException error)
        {
            noteError(error);
            return false;
        }
    }
}
