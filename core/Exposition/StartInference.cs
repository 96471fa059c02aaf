using Bellwether.Core.Codec;

namespace Bellwether.Core.Exposition;

/// <summary>
/// Says when counters began that do not say so themselves. A counter that the last good body of its target did not have began after it; one that the first body has began with its process
/// (<c>process_start_time_seconds</c>); and when the process is another one, all began anew. What cannot be known is not said. Not thread-safe.
/// </summary>
internal sealed class StartInference
{
    /// <summary>Two tellings of one process' start may differ by so much.</summary>
    private const long ProcessStartSlackMs = 1_000;

    private readonly Dictionary<int, long> _inferred = [];
    private readonly HashSet<int> _settled = [];
    private readonly List<int> _counters = [];
    private List<SlotStart> _toRepeat = [];
    private bool _hasNew;
    private int _processSlot = -1;
    private long _processStartMs;
    private long _lastGoodMs;

    /// <summary>A series was learnt that is a counter.</summary>
    public void AddCounter(int slot)
    {
        _counters.Add(slot);
        _hasNew |= !_settled.Contains(slot);
    }

    /// <summary>The series was learnt that tells when the process began.</summary>
    public void SetProcessStart(int slot) => _processSlot = slot;

    /// <summary>Adds to a good body's tick what is to be said. What the body itself said goes first.</summary>
    public void Complete(SourceTick tick)
    {
        long processMs = ProcessStart(tick);
        bool isOther = processMs != 0 && _processStartMs != 0 && Math.Abs(processMs - _processStartMs) > ProcessStartSlackMs;
        if (_toRepeat.Count > 0)
        {
            tick.Starts.AddRange(_toRepeat.Where(s => SourceTick.IsSet(tick.Present, s.Slot)));
            _toRepeat = [];
        }
        if (isOther || _hasNew)
            Infer(tick, Math.Max(_lastGoodMs, processMs), isOther);
        _processStartMs = processMs != 0 ? processMs : _processStartMs;
        _lastGoodMs = tick.TimestampMs;
    }

    /// <summary>A new table begins: slots mean nothing any more but for those that are carried over.</summary>
    /// <param name="carried">Slots of the old table and of the new one; null: nothing is known any more.</param>
    public void Renew(IReadOnlyList<(int Old, int New)>? carried)
    {
        _toRepeat = [.. (carried ?? []).Where(c => _inferred.ContainsKey(c.Old)).Select(c => new SlotStart(c.New, _inferred[c.Old]))];
        _inferred.Clear();
        _settled.Clear();
        _counters.Clear();
        foreach ((_, int slot) in carried ?? [])
            _settled.Add(slot);
        foreach (SlotStart start in _toRepeat)
            _inferred[start.Slot] = start.StartMs;
        _processSlot = -1;
        _hasNew = false;
        if (carried is null)
            _lastGoodMs = 0;
    }

    private void Infer(SourceTick tick, long startMs, bool all)
    {
        HashSet<int> said = [.. tick.Starts.Select(s => s.Slot)];
        _hasNew = false;
        foreach (int slot in _counters)
        {
            if (!SourceTick.IsSet(tick.Present, slot))
            {
                _hasNew |= !_settled.Contains(slot);
                continue;
            }
            bool isNew = _settled.Add(slot);
            if ((!isNew && !all) || startMs == 0 || startMs >= tick.TimestampMs || said.Contains(slot))
                continue;
            _inferred[slot] = startMs;
            tick.Starts.Add(new SlotStart(slot, startMs));
        }
    }

    private long ProcessStart(SourceTick tick)
    {
        if (_processSlot < 0 || !SourceTick.IsSet(tick.Present, _processSlot))
            return 0;
        double ms = tick.Values[_processSlot] * 1000;
        return ms >= 1 && ms <= tick.TimestampMs ? (long)ms : 0;
    }
}
