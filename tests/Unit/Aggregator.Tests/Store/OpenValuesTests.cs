using Bellwether.Core.Model;
using Bellwether.Store.Head;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>An open block gives back its values to the last bit, whatever form they are held in.</summary>
public sealed class OpenValuesTests
{
    private const long SlotMs = 7_200_000;

    public static TheoryData<string, double[]> Runs => new()
    {
        { "a counter", [.. Enumerable.Range(0, 32).Select(i => 1e6 + (i * 137.0))] },
        { "a counter of bytes", [.. Enumerable.Range(0, 32).Select(i => 4e11 + (i * 7_654_321.0))] },
        { "a counter that leaps beyond four bytes", [.. Enumerable.Range(0, 32).Select(i => i * 1e12)] },
        { "two decimals", [.. Enumerable.Range(0, 32).Select(i => i * 37 % 1_000 / 100.0)] },
        { "more decimals each time", [1, 1.5, 1.25, 1.125, 1.0625, 0.1, 1e-7, 12345.678901] },
        { "integers, then what has no decimals", [1, 2, 3, Math.PI, 4, 5] },
        { "falling below the base", [40_000, 39_999, 0, -40_000, 25_535, -25_536] },
        { "to the edges of two bytes", [0, 32_767, -32_768, 32_768, -32_769] },
        { "to the edges of four bytes", [0, int.MaxValue, int.MinValue, (double)int.MaxValue + 1, (double)int.MinValue - 1] },
        { "what is no number", [1, 2, double.NaN, SpecialValues.StaleMarker, double.PositiveInfinity, 3] },
        { "minus zero", [1, 0, -0.0, 0] },
        { "largest", [double.MaxValue, double.Epsilon, 1L << 53, (1L << 52) - 1, 1L << 52, -(1L << 52)] },
        { "thirteen decimals", [1e-13, 2e-13, 0.5, 100] },
    };

    [Theory]
    [MemberData(nameof(Runs))]
    public void Values_come_back_as_they_went_in(string what, double[] values)
    {
        var pools = new HeadPools();
        var series = new HeadSeries(Labels.Of("__name__", "m"), 0);
        for (int i = 0; i < values.Length; i++)
        {
            series.Append(i * 15_000L, values[i], SlotMs, pools);
            Assert.True(Bits(values.AsSpan(0, i + 1)).SequenceEqual(Bits(Read(series))), $"{what}, {i + 1} values");
        }
        // Once more behind a sealed block, whose form is tried first.
        for (int i = 0; i < 64; i++)
            series.Append((values.Length + i) * 15_000L, values[i % values.Length], SlotMs, pools);
        double[] all = [.. values, .. Enumerable.Range(0, 64).Select(i => values[i % values.Length])];
        Assert.Equal(Bits(all), Bits(Read(series)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Values_of_any_mixture_come_back_as_they_went_in(int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < 300; round++)
        {
            var pools = new HeadPools();
            var series = new HeadSeries(Labels.Of("__name__", "m"), 0);
            var values = new List<double>();
            int kinds = random.Next(1, 4);
            for (int i = 0; i < 100; i++)
            {
                values.Add(Value(random, random.Next(kinds), random.Next(14)));
                series.Append(i * 15_000L, values[^1], SlotMs, pools);
            }
            Assert.Equal(Bits([.. values]), Bits(Read(series)));
            // A larger value for a time that is there takes its place.
            series.Append(97 * 15_000L, double.MaxValue, SlotMs, pools);
            values[97] = double.MaxValue;
            Assert.Equal(Bits([.. values]), Bits(Read(series)));
        }
    }

    [Fact]
    public void Small_differences_take_two_bytes_a_value()
    {
        var pools = new HeadPools();
        var series = new HeadSeries(Labels.Of("__name__", "m"), 0);
        for (int i = 0; i < 32; i++)
            series.Append(i * 15_000L, 1e9 + (i * 100), SlotMs, pools);
        Assert.InRange(pools.Memory.TakenBytes, 64, 80);
    }

    private static double Value(Random random, int kind, int digits) => kind switch
    {
        0 => random.Next(-50_000, 50_000) / Math.Pow(10, digits),
        1 => random.NextInt64(-(1L << 53), 1L << 53),
        2 => BitConverter.Int64BitsToDouble(random.NextInt64()),
        _ => random.NextDouble(),
    };

    private static long[] Bits(ReadOnlySpan<double> values)
    {
        var bits = new long[values.Length];
        for (int i = 0; i < bits.Length; i++)
            bits[i] = BitConverter.DoubleToInt64Bits(values[i]);
        return bits;
    }

    private static double[] Read(HeadSeries series)
    {
        var gather = new SampleGather();
        gather.Begin();
        series.Read(long.MinValue, long.MaxValue, gather);
        return gather.Values.ToArray();
    }
}
