namespace Bellwether.Ingest.Completeness;

/// <summary>Events of sessions whose agent is not known: a list that nobody outside can make long. Not thread-safe: the book's gate guards it.</summary>
internal sealed class StrangerEvents(IEnumerable<FleetEvent> known, int most)
{
    private readonly List<FleetEvent> _events = [.. known.TakeLast(most)];
    private readonly List<FleetEvent> _new = [];

    /// <summary>All of them, oldest first.</summary>
    public IReadOnlyList<FleetEvent> List() => [.. _events];

    /// <summary>Notes one. Who knocks every second with the same wrong credential is one event, with its first and last time.</summary>
    public void Note(FleetEvent what)
    {
        if (_events.FindIndex(e => e.Detail == what.Detail) is var at and >= 0)
        {
            what = _events[at] with { TimeMs = what.TimeMs, ToMs = what.ToMs };
            _events.RemoveAt(at);
        }
        _events.Add(what);
        if (_events.Count > most)
            _events.RemoveAt(0);
        _new.RemoveAll(e => e.Detail == what.Detail);
        _new.Add(what);
    }

    /// <summary>Those since the last call.</summary>
    public IReadOnlyList<FleetEvent> TakeNew()
    {
        FleetEvent[] taken = [.. _new];
        _new.Clear();
        return taken;
    }
}
