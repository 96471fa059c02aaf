using Bellwether.Core.Model;

namespace Bellwether.Core.Codec;

/// <summary>
/// One tick (scrape) of one source, as columns by slot of its <see cref="SourceTable"/>. The same object is filled tick after tick: values of the tick before
/// stay in place, so that what has not changed costs nothing but a bit. Allocation-free in steady state. Not thread-safe.
/// Use: <see cref="Begin"/>, then Set... per slot, then <see cref="Complete"/>; read until the next <see cref="Begin"/>.
/// </summary>
public sealed class SourceTick
{
    private double[] _values = [];
    private ulong[] _present = [];
    private ulong[] _changed = [];
    private ulong[] _ended = [];
    private ulong[] _tracked = [];

    /// <summary>The table that slots refer to.</summary>
    public SourceTable Table { get; private set; } = new("", 0);

    /// <summary>Time of the tick, Unix ms.</summary>
    public long TimestampMs { get; private set; }

    /// <summary>The value by slot: of this tick where present, else the last one.</summary>
    public ReadOnlySpan<double> Values => _values.AsSpan(0, Table.Count);

    /// <summary>Bit set: the slot has a float sample at <see cref="TimestampMs"/> in this tick (end markers not counted).</summary>
    public ReadOnlySpan<ulong> Present => _present;

    /// <summary>Bit set: present, and its value differs in bits from the slot's last value (or it had none).</summary>
    public ReadOnlySpan<ulong> Changed => _changed;

    /// <summary>Bit set: the series ended with this tick; a stale marker at <see cref="TimestampMs"/> is due.</summary>
    public ReadOnlySpan<ulong> Ended => _ended;

    /// <summary>Samples with a time of their own (honor_timestamps), beside the columns.</summary>
    public List<TimedSample> Timed { get; } = [];

    /// <summary>Native histograms of this tick, beside the columns.</summary>
    public List<SlotHistogram> Histograms { get; } = [];

    /// <summary>Start timestamps that are new or changed in this tick.</summary>
    public List<SlotStart> Starts { get; } = [];

    /// <summary>Exemplars of this tick.</summary>
    public List<SlotExemplar> Exemplars { get; } = [];

    /// <summary>How many float samples the columns hold, end markers not counted.</summary>
    public int PresentCount
    {
        get
        {
            int count = 0;
            foreach (ulong word in _present)
                count += System.Numerics.BitOperations.PopCount(word);
            return count;
        }
    }

    /// <summary>Starts a tick. With another table than last time, everything is new.</summary>
    public void Begin(SourceTable table, long timestampMs)
    {
        if (!ReferenceEquals(table, Table))
        {
            Array.Clear(_present);
            Array.Clear(_tracked);
            Array.Clear(_values);
            Table = table;
        }
        TimestampMs = timestampMs;
        Array.Clear(_present);
        Array.Clear(_changed);
        Array.Clear(_ended);
        Timed.Clear();
        Histograms.Clear();
        Starts.Clear();
        Exemplars.Clear();
        EnsureRoom();
    }

    /// <summary>A sample at the tick's time.</summary>
    public void Set(int slot, double value)
    {
        if (slot >= _values.Length)
            EnsureRoom();
        int word = slot >> 6;
        ulong bit = 1UL << slot;
        bool known = (_tracked[word] & bit) != 0;
        if (!known || BitConverter.DoubleToUInt64Bits(_values[slot]) != BitConverter.DoubleToUInt64Bits(value))
        {
            _changed[word] |= bit;
            _values[slot] = value;
        }
        _present[word] |= bit;
    }

    /// <summary>A sample at the tick's time, of which the collector knows that its value is that of the tick before (else it must call <see cref="Set"/>).</summary>
    public void SetUnchanged(int slot)
    {
        int word = slot >> 6;
        ulong bit = 1UL << slot;
        if ((_tracked[word] & bit) == 0)
            _changed[word] |= bit;
        _present[word] |= bit;
    }

    /// <summary>Drops the sample of a slot that was set in this tick, as if it had not been there.</summary>
    public void Unset(int slot) => _present[slot >> 6] &= ~(1UL << slot);

    /// <summary>Marks a series as ended without waiting for <see cref="Complete"/> to find it missing (a target that goes away).</summary>
    public void End(int slot)
    {
        Unset(slot);
        _ended[slot >> 6] |= 1UL << slot;
        _tracked[slot >> 6] &= ~(1UL << slot);
    }

    /// <summary>Forgets all samples set since <see cref="Begin"/>, so that <see cref="Complete"/> ends every series (a failed scrape).</summary>
    public void DropSamples()
    {
        Array.Clear(_present);
        Timed.Clear();
        Histograms.Clear();
        Starts.Clear();
        Exemplars.Clear();
    }

    /// <summary>Ends the tick: series of the tick before that are missing now are marked ended.</summary>
    public void Complete()
    {
        EnsureRoom();
        for (int w = 0; w < _tracked.Length; w++)
        {
            _changed[w] &= _present[w];
            _ended[w] |= _tracked[w] & ~_present[w];
            _tracked[w] = _present[w];
        }
        foreach (SlotHistogram h in Histograms)
        {
            _ended[h.Slot >> 6] &= ~(1UL << h.Slot);
            _tracked[h.Slot >> 6] |= 1UL << h.Slot;
        }
    }

    /// <summary>Whether the bit of a slot is set in one of the columns above.</summary>
    public static bool IsSet(ReadOnlySpan<ulong> bits, int slot) => (slot >> 6) < bits.Length && (bits[slot >> 6] & (1UL << slot)) != 0;

    private void EnsureRoom()
    {
        int need = Math.Max(Table.Count, 64);
        if (_values.Length >= need)
            return;
        int size = Math.Max(need, _values.Length * 2);
        int words = (size + 63) >> 6;
        Array.Resize(ref _values, words << 6);
        Array.Resize(ref _present, words);
        Array.Resize(ref _changed, words);
        Array.Resize(ref _ended, words);
        Array.Resize(ref _tracked, words);
    }
}

/// <summary>A sample with a time of its own.</summary>
public readonly record struct TimedSample(int Slot, long TimestampMs, double Value);

/// <summary>A native histogram at the tick's time (or its own, when not 0).</summary>
public readonly record struct SlotHistogram(int Slot, NativeHistogram Histogram, long TimestampMs = 0);

/// <summary>When the counter in a slot was started, Unix ms.</summary>
public readonly record struct SlotStart(int Slot, long StartMs);

/// <summary>An exemplar of the sample in a slot.</summary>
public readonly record struct SlotExemplar(int Slot, Exemplar Exemplar);
