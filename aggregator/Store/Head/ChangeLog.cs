namespace Bellwether.Store.Head;

/// <summary>
/// How far back changes of the head reach, between marks. Written under the head's write lock; the rest under its read lock, by one reader at a time.
/// </summary>
internal sealed class ChangeLog
{
    private const int MaxEntries = 1024;

    // By mark; the oldest time grows with it, since an entry takes in those before it that are not older.
    private readonly List<(long Mark, long OldestMs)> _entries = [];
    private readonly Lock _gate = new();
    private long _mark;
    private long _oldestMs = long.MaxValue;

    /// <summary>A sample of a time was added, replaced or removed. <see cref="long.MinValue"/>: of any time.</summary>
    public void Note(long timeMs)
    {
        if (timeMs < _oldestMs)
            _oldestMs = timeMs;
    }

    /// <summary>See <see cref="Core.Model.IChangeLog.TakeMark"/>.</summary>
    public long Mark()
    {
        lock (_gate)
        {
            if (_oldestMs == long.MaxValue)
                return _mark;
            while (_entries.Count > 0 && _entries[^1].OldestMs >= _oldestMs)
                _entries.RemoveAt(_entries.Count - 1);
            _entries.Add((_mark, _oldestMs));
            if (_entries.Count > MaxEntries)
                Thin();
            _oldestMs = long.MaxValue;
            return ++_mark;
        }
    }

    /// <summary>See <see cref="Core.Model.IChangeLog.OldestChangeSince"/>.</summary>
    public long OldestSince(long mark)
    {
        lock (_gate)
        {
            int low = 0, high = _entries.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (_entries[middle].Mark < mark)
                    low = middle + 1;
                else
                    high = middle;
            }
            return low < _entries.Count ? Math.Min(_entries[low].OldestMs, _oldestMs) : _oldestMs;
        }
    }

    // Two neighbours become one that says the older time for both: never too little.
    private void Thin()
    {
        int kept = 0;
        for (int i = 0; i < _entries.Count; i += 2)
            _entries[kept++] = i + 1 < _entries.Count ? (_entries[i + 1].Mark, _entries[i].OldestMs) : _entries[i];
        _entries.RemoveRange(kept, _entries.Count - kept);
    }
}
