namespace Bellwether.Ingest;

/// <summary>
/// Counts one source's ticks over a sliding window of event time, on a grid whose phase follows the ticks (so that jitter around a border is no gap). Bounded: at
/// most <see cref="MaxCells"/> cells. Not thread-safe.
/// </summary>
internal sealed class SourceCoverage
{
    /// <summary>Cells kept; a window with more ticks is cut to this many.</summary>
    public const int MaxCells = 4096;

    private readonly long _windowMs;
    private long[] _cells = [];
    private long _firstCell;
    private double _phaseMs;

    public SourceCoverage(string name, long windowMs)
    {
        Name = name;
        _windowMs = windowMs;
    }

    public string Name { get; }

    public long WindowMs => _windowMs;

    /// <summary>Whether nothing is due after its newest tick.</summary>
    public bool HasEnded { get; set; }

    public int IntervalMs { get; private set; }

    public long NewestMs { get; private set; }

    /// <summary>A tick came. Several within one interval count once: coverage says whether every interval has one.</summary>
    public void Tick(int intervalMs, long timestampMs)
    {
        if (intervalMs != IntervalMs)
        {
            IntervalMs = intervalMs;
            _cells = intervalMs <= 0 ? [] : new long[Math.Clamp((_windowMs / intervalMs) + 2, 2, MaxCells)];
            Array.Fill(_cells, long.MinValue);
            _phaseMs = timestampMs;
            _firstCell = 0;
        }
        NewestMs = Math.Max(NewestMs, timestampMs);
        if (_cells.Length == 0)
            return;
        long cell = (long)Math.Round((timestampMs - _phaseMs) / IntervalMs);
        // Follow the agent's schedule slowly: a restart may move it.
        _phaseMs += (timestampMs - _phaseMs - ((double)cell * IntervalMs)) / 8;
        _firstCell = Math.Min(_firstCell, cell);
        ref long held = ref _cells[Slot(cell)];
        held = Math.Max(held, cell);
    }

    /// <summary>How it stands at a time. The newest interval is not due yet: its tick may be under way.</summary>
    public SourceState At(long nowMs)
    {
        if (_cells.Length == 0)
            return new SourceState(Name, IntervalMs, NewestMs, 0, 0);
        long last = (long)Math.Floor((nowMs - _phaseMs) / IntervalMs) - 1;
        // The tick that ended the series may have come between two of the grid.
        if (HasEnded)
            last = Math.Min(last, (long)Math.Floor((NewestMs - _phaseMs) / IntervalMs));
        long first = Math.Max(_firstCell, last - (_cells.Length - 2) + 1);
        long received = 0;
        for (long cell = first; cell <= last; cell++)
        {
            if (_cells[Slot(cell)] == cell)
                received++;
        }
        return new SourceState(Name, IntervalMs, NewestMs, received, Math.Max(0, last - first + 1));
    }

    private int Slot(long cell) => (int)(((cell % _cells.Length) + _cells.Length) % _cells.Length);
}
