using Bellwether.Core.Model;
using Bellwether.Store.Chunks;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Aggregator.Tests.Store;

public sealed class ChunkCodecTests
{
    private static readonly double[] s_odd = [double.NaN, SpecialValues.StaleMarker, double.PositiveInfinity, double.NegativeInfinity, -0.0, 0, double.Epsilon, double.MaxValue, 0.1, 1e15, 4503599627370496, -1.5];

    [Fact]
    public void Values_of_every_kind_come_back_to_the_bit()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            double[] values = Values(random, random.Next(1, 300));
            var writer = new ByteWriter();
            ValueBlock.Encode(values, writer);
            var back = new double[values.Length];
            var reader = new ByteReader(writer.Written);
            ValueBlock.Decode(ref reader, back);
            Assert.Equal(0, reader.Left);
            for (int i = 0; i < values.Length; i++)
                Assert.Equal(BitConverter.DoubleToInt64Bits(values[i]), BitConverter.DoubleToInt64Bits(back[i]));
            int[] places = [.. Enumerable.Range(0, values.Length).Where(_ => random.Next(8) == 0).DefaultIfEmpty(random.Next(values.Length))];
            var some = new double[places.Length];
            var again = new ByteReader(writer.Written);
            ValueBlock.DecodeAt(ref again, places, some, new double[values.Length]);
            for (int i = 0; i < places.Length; i++)
                Assert.Equal(BitConverter.DoubleToInt64Bits(values[places[i]]), BitConverter.DoubleToInt64Bits(some[i]));
        }));
    }

    [Fact]
    public void The_kind_and_exponent_of_a_block_go_by_all_values_wherever_the_odd_ones_stand()
    {
        // No decimal: XOR or bits, whatever is less.
        const byte Raw = 3;
        // A block of eight whole numbers but one; and what its kind and exponent must be: values are looked at four at a time, which no place may show.
        (double Odd, byte Kind, int Exponent)[] cases =
        [
            (0.25, 2, 2), (-12.5, 2, 1), (1e-13, 2, 13), (1e-14, Raw, -1), (Math.Pow(2, 51), 2, 0), (-Math.Pow(2, 51) - 1, 2, 0), (Math.Pow(2, 52) - 1, 2, 0), (Math.Pow(2, 52), Raw, -1),
            (Math.Pow(2, 51) - 0.25, Raw, -1), (-0.0, 0x82, 0), (double.NaN, 0x82, 0), (double.NegativeInfinity, 0x82, 0), (SpecialValues.StaleMarker, 0x82, 0), (double.Epsilon, Raw, -1), (-double.Epsilon, Raw, -1),
        ];
        foreach ((double odd, byte kind, int exponent) in cases)
        {
            for (int place = 0; place < 9; place++)
            {
                double[] values = [1, 2, -3, 4, 50, 6, 7, 80, 9];
                values[place] = odd;
                var writer = new ByteWriter();
                ValueBlock.Encode(values, writer);
                Assert.True(kind == writer.Written[0] || (kind == Raw && writer.Written[0] is 3 or 4), $"{odd} at {place}: kind {writer.Written[0]}");
                if (exponent >= 0)
                    Assert.Equal(exponent, writer.Written[1]);
                double[] back = new double[values.Length];
                var reader = new ByteReader(writer.Written);
                ValueBlock.Decode(ref reader, back);
                Assert.Equal(values.Select(BitConverter.DoubleToInt64Bits), back.Select(BitConverter.DoubleToInt64Bits));
            }
        }
    }

    [Fact]
    public void Integers_of_every_kind_come_back()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            long[] values = Integers(random, out _);
            var writer = new ByteWriter();
            IntegerBlock.Encode(values, writer);
            var back = new long[values.Length];
            var reader = new ByteReader(writer.Written);
            IntegerBlock.Decode(ref reader, back);
            Assert.Equal(values, back);
            Assert.Equal(0, reader.Left);
            int[] places = [.. Enumerable.Range(0, values.Length).Where(_ => random.Next(8) == 0).DefaultIfEmpty(random.Next(values.Length))];
            var some = new long[places.Length];
            var again = new ByteReader(writer.Written);
            IntegerBlock.DecodeAt(ref again, values.Length, places, some);
            Assert.Equal(places.Select(p => values[p]), some);
            Assert.Equal(0, again.Left);
        }));
    }

    [Fact]
    public void Each_form_of_an_integer_block_is_written_where_it_is_the_least()
    {
        static int ModeOf(params long[] values)
        {
            var writer = new ByteWriter();
            IntegerBlock.Encode(values, writer);
            var reader = new ByteReader(writer.Written);
            reader.Zigzag();
            return reader.Byte();
        }
        var random = new Random(1);
        long[] Run(int count, Func<int, long, long> next)
        {
            var run = new long[count];
            for (int i = 1; i < count; i++)
                run[i] = next(i, run[i - 1]);
            return run;
        }
        Assert.Equal(3, ModeOf(Run(240, (_, before) => before + random.Next(60))));
        Assert.Equal(3 | 4, ModeOf(Run(240, (_, before) => before + (random.Next(60) * 1000) + 7)));
        Assert.Equal(3 | 8, ModeOf(Run(240, (i, before) => i == 100 ? 0 : before + random.Next(60))));
        Assert.Equal(3 | 8, ModeOf(Run(240, (i, before) => i == 100 ? 0 : before + Skewed(random))));
        Assert.Equal(2, ModeOf(Run(240, (_, _) => random.Next(2000))));
        Assert.Equal(1 | 8, ModeOf(Run(240, (i, before) => before + 1_000_000 + (i * 1000) + random.Next(2))));
        Assert.Equal(0, ModeOf(Run(240, (i, before) => before + random.Next(-8, 8))));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Values_of_every_width_come_back_whole_and_one_by_one(int kind)
    {
        var random = new Random(5);
        for (int width = 0; width <= 64; width++)
        {
            foreach (int count in (ReadOnlySpan<int>)[2, 3, 8, 9, 10, 17, 64, 240])
            {
                var values = new long[count];
                ulong mask = width == 64 ? ulong.MaxValue : (1UL << width) - 1;
                for (int i = 1; i < count; i++)
                {
                    long raw = (long)((ulong)random.NextInt64(long.MinValue, long.MaxValue) & mask);
                    values[i] = kind switch { 0 => raw, 1 => unchecked(values[i - 1] + raw), _ => unchecked(values[i - 1] + (raw >> 1) - (raw & 1)) };
                }
                var writer = new ByteWriter();
                IntegerBlock.Encode(values, writer);
                var back = new long[count];
                var reader = new ByteReader(writer.Written);
                IntegerBlock.Decode(ref reader, back);
                Assert.Equal(values, back);
                for (int place = 0; place < count; place++)
                {
                    var one = new long[1];
                    int[] places = [place];
                    var again = new ByteReader(writer.Written);
                    IntegerBlock.DecodeAt(ref again, count, places, one);
                    Assert.Equal(values[place], one[0]);
                }
            }
        }
    }

    [Fact]
    public void Blocks_as_they_stand_on_disks_are_read_for_ever()
    {
        // Differences with a sign, as rising runs were written in files of version 2; from the smallest difference; bits.
        Assert.Equal([10, 12, 15, 19, 24], Decoded("020014000464A8", 5));
        Assert.Equal([10, 12, 15, 19, 24], Decoded("020014030402E4", 5));
        Assert.Equal([1], Decoded("0480808080808080F07F", 1));
    }

    private static double[] Decoded(string block, int count)
    {
        var read = new double[count];
        var reader = new ByteReader(Convert.FromHexString(block));
        ValueBlock.Decode(ref reader, read);
        Assert.Equal(0, reader.Left);
        return read;
    }

    [Fact]
    public void Bytes_at_random_are_blocks_or_refused_and_read_alike_in_both_ways()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(20_000), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            byte[] bytes = new byte[random.Next(1, 120)];
            random.NextBytes(bytes);
            // Half of them begin as blocks do, so that more than the first byte is looked at.
            if (random.Next(2) == 0)
                bytes.AsSpan(0, Math.Min(4, bytes.Length)).Clear();
            bytes[0] = (byte)(random.Next(5) | (random.Next(4) == 0 ? 0x80 : 0));
            int count = random.Next(1, 200);
            int[] places = [random.Next(count)];
            string whole = Outcome(() =>
            {
                var values = new double[count];
                var reader = new ByteReader(bytes);
                ValueBlock.Decode(ref reader, values);
                return BitConverter.DoubleToInt64Bits(values[places[0]]);
            });
            string one = Outcome(() =>
            {
                var value = new double[1];
                var reader = new ByteReader(bytes);
                ValueBlock.DecodeAt(ref reader, places, value, new double[count]);
                return BitConverter.DoubleToInt64Bits(value[0]);
            });
            // What is wrong behind a place need not be seen where only the place is read.
            Assert.True(whole == one || whole == "refused", $"whole {whole}, one {one}");
        }));
    }

    private static string Outcome(Func<long> read)
    {
        try
        {
            return read().ToString(System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (InvalidDataException)
        {
            return "refused";
        }
    }

    // Many small ones, few large.
    private static long Skewed(Random random) => (long)(-Math.Log(1 - random.NextDouble()) * 20);

    private static long[] Integers(Random random, out int kind)
    {
        var values = new long[random.Next(1, 300)];
        kind = random.Next(11);
        for (int i = 0; i < values.Length; i++)
        {
            long before = i == 0 ? random.Next(1000) : values[i - 1];
            values[i] = kind switch
            {
                0 => 1_700_000_000_000 + (i * 15_000L) + random.Next(-3, 4),
                1 => random.NextInt64(long.MinValue, long.MaxValue),
                2 => random.Next(10) == 0 ? random.NextInt64() : random.Next(3),
                3 => before + random.Next(60),
                4 => random.Next(50) == 0 ? 0 : before + 100 + (random.Next(40) * 4),
                5 => before + random.Next(-20, 20) + (random.Next(30) == 0 ? 1_000_000 : 0),
                7 => before + 3 + Skewed(random),
                8 => 500 + (Skewed(random) * 4),
                9 => before + (random.Next(2) == 0 ? Skewed(random) : -Skewed(random)),
                6 => before + (random.Next(1 << 20) * 4096L * random.Next(2)),
                _ => (i * 4096L) - 77,
            };
        }
        return values;
    }

    [Fact]
    public void Damaged_blocks_throw_nothing_but_what_is_declared()
    {
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(5000), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            double[] values = Values(random, 120);
            var writer = new ByteWriter();
            ValueBlock.Encode(values, writer);
            byte[] bytes = writer.Written.ToArray();
            for (int i = 0; i < 3; i++)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var reader = new ByteReader(bytes.AsSpan(0, random.Next(bytes.Length + 1)));
            try
            {
                ValueBlock.Decode(ref reader, values);
            }
            catch (InvalidDataException e)
            {
                Assert.NotEmpty(e.Message);
            }
        }));
    }

    private static double[] Values(Random random, int count)
    {
        var values = new double[count];
        double level = random.Next(1000);
        int kind = random.Next(6);
        for (int i = 0; i < count; i++)
        {
            level += random.Next(100);
            values[i] = kind switch
            {
                0 => 42,
                1 => level,
                2 => level / 100,
                3 => random.NextDouble(),
                4 => random.Next(20) == 0 ? s_odd[random.Next(s_odd.Length)] : level,
                _ => s_odd[random.Next(s_odd.Length)],
            };
        }
        return values;
    }
}
