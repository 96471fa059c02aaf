using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Core.Tests.Codec;

/// <summary>Holds a decoded tick against the one that was encoded: bit by bit, plainly, slot by slot.</summary>
internal static class TickComparison
{
    public static void Same(SourceTick tick, DecodedTick decoded)
    {
        Assert.Equal(tick.Table.Name, decoded.Source.Name);
        Assert.Equal(tick.Table.IntervalMs, decoded.Source.IntervalMs);
        Assert.Equal(tick.TimestampMs, decoded.TimestampMs);
        long samples = tick.Timed.Count + tick.Histograms.Count;
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            bool present = SourceTick.IsSet(tick.Present, slot), ended = SourceTick.IsSet(tick.Ended, slot);
            Assert.Equal(present, SourceTick.IsSet(decoded.Present, slot));
            Assert.Equal(ended, SourceTick.IsSet(decoded.Ended, slot));
            if (SourceTick.IsSet(tick.Changed, slot))
                Assert.True(SourceTick.IsSet(decoded.Changed, slot));
            samples += (present ? 1 : 0) + (ended ? 1 : 0);
            if (present || ended)
                Assert.Equal(tick.Table[slot], decoded.Source[slot]);
            if (present && !tick.Timed.Exists(t => t.Slot == slot))
                Assert.Equal(BitConverter.DoubleToUInt64Bits(tick.Values[slot]), BitConverter.DoubleToUInt64Bits(decoded.Values[slot]));
        }
        Assert.Equal(samples, decoded.Samples);
        Assert.Equal(tick.Timed.Select(t => (t.Slot, t.TimestampMs, BitConverter.DoubleToUInt64Bits(t.Value))), decoded.Timed.Select(t => (t.Slot, t.TimestampMs, BitConverter.DoubleToUInt64Bits(t.Value))));
        foreach (SlotStart start in tick.Starts.GroupBy(s => s.Slot).Select(g => g.Last()))
            Assert.Equal(start.StartMs, decoded.Source.StartOf(start.Slot));
        Assert.Equal(tick.Exemplars, decoded.Exemplars);
        Assert.Equal(tick.Histograms.Count, decoded.Histograms.Count);
        for (int i = 0; i < tick.Histograms.Count; i++)
            Same(tick.Histograms[i], decoded.Histograms[i]);
    }

    private static void Same(SlotHistogram a, SlotHistogram b)
    {
        Assert.Equal((a.Slot, a.TimestampMs), (b.Slot, b.TimestampMs));
        NativeHistogram x = a.Histogram, y = b.Histogram;
        Assert.Equal((x.Schema, x.ResetHint, x.IsInteger), (y.Schema, y.ResetHint, y.IsInteger));
        Assert.Equal(Bits([x.ZeroThreshold, x.ZeroCount, x.Count, x.Sum]), Bits([y.ZeroThreshold, y.ZeroCount, y.Count, y.Sum]));
        Assert.Equal(x.PositiveSpans, y.PositiveSpans);
        Assert.Equal(x.NegativeSpans, y.NegativeSpans);
        Assert.Equal(Bits(x.PositiveBuckets), Bits(y.PositiveBuckets));
        Assert.Equal(Bits(x.NegativeBuckets), Bits(y.NegativeBuckets));
        Assert.Equal(Bits(x.CustomValues), Bits(y.CustomValues));
    }

    private static ulong[] Bits(double[] values) => [.. values.Select(BitConverter.DoubleToUInt64Bits)];
}

/// <summary>Fills ticks from a seed, with every kind of value and every part of the format.</summary>
internal sealed class TickMaker(int seed)
{
    private readonly Random _random = new(seed);
    private readonly SourceTick _tick = new();
    private SourceTable _table = NewTable(0);
    private int _tables;
    private long _time = 1_700_000_000_000;

    public SourceTick Next()
    {
        if (_random.Next(40) == 0)
            _table = NewTable(++_tables);
        int grow = _random.Next(6) == 0 ? _random.Next(90) : _random.Next(2);
        for (int i = 0; i < grow && _table.Count < 300; i++)
            _table.Add(Labels.Of("__name__", "m_" + _random.Next(50), "host", "h" + _random.Next(4), "n", $"{_tables}-{_table.Count} ü"));
        if (_random.Next(10) == 0)
            _table.Describe("m_" + _random.Next(50), new MetricMetadata((MetricType)_random.Next(8), "help " + _random.Next(9), "seconds"));
        _time += _random.Next(30_000) - 100;
        _tick.Begin(_table, _time);
        int mood = _random.Next(8);
        for (int slot = 0; slot < _table.Count; slot++)
        {
            if (mood == 0 && _random.Next(4) == 0)
                continue;
            double value = mood > 4 || _random.Next(3) > 0 ? _tick.Values[slot] : Value(_tick.Values[slot]);
            _tick.Set(slot, value);
            if (mood == 1 && _random.Next(20) == 0)
                _tick.End(slot);
        }
        if (mood == 2 && _table.Count > 0)
            Extras();
        if (_random.Next(50) == 0)
            _tick.DropSamples();
        _tick.Complete();
        return _tick;
    }

    private static SourceTable NewTable(int number) => new("source " + (number % 3), 15_000);

    private double Value(double last) => _random.Next(12) switch
    {
        0 => -0.0,
        1 => double.NaN,
        2 => BitConverter.UInt64BitsToDouble(0x7FF0000000000000 | (ulong)_random.NextInt64(1, 1L << 51)),
        3 => _random.Next(2) == 0 ? double.PositiveInfinity : double.NegativeInfinity,
        4 => BitConverter.Int64BitsToDouble(_random.NextInt64(long.MinValue, long.MaxValue)),
        5 => _random.Next() * 1024.0,
        6 => Math.Round(_random.NextDouble() * 1e6, _random.Next(12)),
        7 => _random.NextInt64(1L << 54) - (1L << 53),
        8 => last + 1,
        9 => 0,
        10 => last + (_random.Next(1000) / 100.0),
        _ => _random.NextDouble(),
    };

    private int Slot() => _random.Next(_table.Count);

    private void Extras()
    {
        for (int i = _random.Next(5); i > 0; i--)
            _tick.Timed.Add(new TimedSample(Slot(), _time - _random.Next(100_000), Value(3)));
        for (int i = _random.Next(4); i > 0; i--)
            _tick.Starts.Add(new SlotStart(Slot(), _time - _random.Next(10_000_000)));
        for (int i = _random.Next(3); i > 0; i--)
            _tick.Exemplars.Add(new SlotExemplar(Slot(), new Exemplar(Labels.Of("trace_id", "t" + _random.Next()), Value(1), _random.Next(2) == 0 ? null : _time - 5)));
        for (int i = _random.Next(3); i > 0; i--)
            _tick.Histograms.Add(new SlotHistogram(Slot(), Histogram(), _random.Next(2) == 0 ? 0 : _time - 7));
    }

    private NativeHistogram Histogram() => new()
    {
        Schema = _random.Next(3) == 0 ? NativeHistogram.CustomBucketsSchema : _random.Next(13) - 4,
        ZeroThreshold = 2.938735877055719e-39,
        ZeroCount = _random.Next(10),
        Count = Value(10),
        Sum = Value(4),
        PositiveSpans = [new BucketSpan(-3, 2), new BucketSpan(4, 1)],
        PositiveBuckets = [_random.Next(1000), Value(2), _random.Next(1000)],
        NegativeSpans = [new BucketSpan(0, 1)],
        NegativeBuckets = [_random.NextDouble()],
        CustomValues = [0.1, 0.25, 1e9],
        ResetHint = (CounterResetHint)_random.Next(4),
        IsInteger = _random.Next(2) == 0,
    };
}
