using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Evaluation;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.PromQl.Tests;

/// <summary>What is done four steps at a time is what is done one by one, to the last bit.</summary>
public sealed class ColumnTests
{
    [Fact]
    public void Rates_of_series_that_share_their_times_are_those_of_each_alone()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var shared = new RatePlan();
            int count = random.Next(60);
            (long[] times, long[] ordinals) = Times(random, count);
            var windows = new WindowCuts(random.Next(100_000), 1 + random.Next(40_000), 1 + random.Next(30), 1 + random.Next(100_000));
            for (int series = 0; series < 6; series++)
            {
                // Now and then other times, or other windows.
                if (random.Next(4) == 0)
                    (times, ordinals) = Times(random, count = random.Next(60));
                if (random.Next(6) == 0)
                    windows = windows with { FirstEndMs = windows.FirstEndMs + random.Next(2), Count = 1 + random.Next(30) };
                double[] values = Values(random, count);
                WindowKind kind = (WindowKind)random.Next(3);
                long[] numbers = random.Next(2) == 0 ? [] : ordinals;
                double[] expected = new double[windows.Count], actual = new double[windows.Count];
                Array.Fill(expected, SpecialValues.StaleMarker);
                Array.Fill(actual, SpecialValues.StaleMarker);
                bool any = OneByOne(kind, times, values, numbers, windows, expected);
                Assert.Equal(any, shared.Slide(kind, times, values, numbers, windows, actual));
                Assert.Equal(expected.Select(Bits), actual.Select(Bits));
            }
        }));
    }

    [Fact]
    public void A_sum_of_columns_is_the_sum_at_each_step()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var fold = new ColumnFold();
            for (int run = 0; run < 3; run++)
            {
                int steps = 1 + random.Next(20);
                List<EvalSeries> members = [.. Enumerable.Range(0, random.Next(7)).Select(_ => new EvalSeries(Labels.Empty, false, [.. Values(random, steps).Select(v => random.Next(5) == 0 ? SpecialValues.StaleMarker : v)], null))];
                var actual = new EvalSeries(Labels.Empty, steps);
                Assert.True(fold.TryFold("sum", members, actual.Values));
                for (int i = 0; i < steps; i++)
                {
                    var sum = new CompensatedSum();
                    bool any = false;
                    foreach (EvalSeries member in members.Where(m => m.Has(i)))
                    {
                        sum.Add(member.Values[i]);
                        any = true;
                    }
                    Assert.Equal(any, actual.Has(i));
                    if (any)
                        Assert.Equal(Bits(sum.Total), Bits(actual.Values[i]));
                }
            }
        }));
    }

    private static bool OneByOne(WindowKind kind, long[] times, double[] values, long[] ordinals, WindowCuts windows, double[] into)
    {
        bool any = false;
        for (int i = 0; i < into.Length; i++)
        {
            long end = windows.FirstEndMs + (i * windows.StepMs), start = end - windows.RangeMs;
            int from = Array.FindIndex(times, t => t > start), last = Array.FindLastIndex(times, t => t <= end);
            if (from < 0 || last <= from)
                continue;
            double increase = values[last] - values[from];
            if (kind != WindowKind.Delta)
                increase += 0.0;
            long number = ordinals.Length == 0 ? last - from + 1 : ordinals[last] - ordinals[from] + 1;
            double factor = RateFunctions.Factor(start, end, new RateFunctions.Edges(times[from], times[last], number), times[from], kind != WindowKind.Delta, values[from], increase);
            if (kind == WindowKind.Rate)
                factor /= windows.RangeMs / 1000.0;
            into[i] = increase * factor;
            any = true;
        }
        return any;
    }

    private static (long[] Times, long[] Ordinals) Times(Random random, int count)
    {
        var times = new long[count];
        var ordinals = new long[count];
        long time = random.Next(50_000) - 60_000, number = 0;
        bool isEven = random.Next(2) == 0;
        for (int i = 0; i < count; i++)
        {
            (times[i], ordinals[i]) = (time, number);
            time += isEven ? 15_000 : 1 + random.Next(30_000);
            number += 1 + random.Next(4);
        }
        return (times, ordinals);
    }

    private static double[] Values(Random random, int count)
    {
        double value = random.Next(3) * -0.0;
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(30) switch
        {
            0 => double.NaN,
            1 => double.PositiveInfinity,
            2 => double.NegativeInfinity,
            3 => -0.0,
            4 => 1e308,
            5 => 5e-324,
            6 => value = -random.NextDouble(),
            < 15 => value += random.Next(9),
            _ => value += random.NextDouble() * 1e6,
        })];
    }

    // Which NaN it is does not matter, but that it is none that means "no point".
    private static long Bits(double value) => double.IsNaN(value) && !SpecialValues.IsStale(value) ? 1 : BitConverter.DoubleToInt64Bits(value);
}
