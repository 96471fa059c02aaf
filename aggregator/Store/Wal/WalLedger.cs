namespace Bellwether.Store.Wal;

/// <summary>Knows of each log file what keeps it alive: its newest sample, and the oldest file that its frames need to be understood.</summary>
internal sealed class WalLedger
{
    private readonly SortedDictionary<long, (long NewestMs, long NeedsFile)> _files = [];

    /// <summary>A frame was logged (or replayed).</summary>
    /// <param name="file">Where it lies.</param>
    /// <param name="newestMs">Its newest sample; <see cref="long.MinValue"/>: none.</param>
    /// <param name="contextFile">Where the dictionary or segment that it depends on begins.</param>
    public void Note(long file, long newestMs, long contextFile)
    {
        contextFile = Math.Min(contextFile, file);
        _files[file] = _files.TryGetValue(file, out (long NewestMs, long NeedsFile) known)
            ? (Math.Max(known.NewestMs, newestMs), Math.Min(known.NeedsFile, contextFile))
            : (newestMs, contextFile);
    }

    /// <summary>The first file that must stay when all samples before a time stand in chunk files and nothing at or after <paramref name="checkpointFile"/> may go.</summary>
    public long FirstNeeded(long boundaryMs, long checkpointFile)
    {
        long first = checkpointFile;
        foreach ((long file, (long newest, _)) in _files)
        {
            if (file >= first || newest >= boundaryMs)
            {
                first = Math.Min(first, file);
                break;
            }
        }
        // What stays may depend on files before it, and those on others again.
        while (true)
        {
            long needed = first;
            foreach ((long file, (_, long needs)) in _files)
            {
                if (file >= first)
                    needed = Math.Min(needed, needs);
            }
            if (needed == first)
                return first;
            first = needed;
        }
    }

    public void Forget(long beforeFile)
    {
        foreach (long file in _files.Keys.TakeWhile(f => f < beforeFile).ToList())
            _files.Remove(file);
    }
}
