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
        // A block of eight whole numbers but one; and what its kind and exponent must be: values are looked at four at a time, which no place may show.
        (double Odd, byte Kind, int Exponent)[] cases =
        [
            (0.25, 2, 2), (-12.5, 2, 1), (1e-13, 2, 13), (1e-14, 3, -1), (Math.Pow(2, 51), 2, 0), (-Math.Pow(2, 51) - 1, 2, 0), (Math.Pow(2, 52) - 1, 2, 0), (Math.Pow(2, 52), 3, -1),
            (Math.Pow(2, 51) - 0.25, 3, -1), (-0.0, 0x82, 0), (double.NaN, 0x82, 0), (double.NegativeInfinity, 0x82, 0), (SpecialValues.StaleMarker, 0x82, 0), (double.Epsilon, 3, -1), (-double.Epsilon, 3, -1),
        ];
        foreach ((double odd, byte kind, int exponent) in cases)
        {
            for (int place = 0; place < 9; place++)
            {
                double[] values = [1, 2, -3, 4, 50, 6, 7, 80, 9];
                values[place] = odd;
                var writer = new ByteWriter();
                ValueBlock.Encode(values, writer);
                Assert.Equal(kind, writer.Written[0]);
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
            var values = new long[random.Next(1, 300)];
            int kind = random.Next(4);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = kind switch
                {
                    0 => 1_700_000_000_000 + (i * 15_000L) + random.Next(-3, 4),
                    1 => random.NextInt64(long.MinValue, long.MaxValue),
                    2 => random.Next(10) == 0 ? random.NextInt64() : random.Next(3),
                    _ => (i * 4096L) - 77,
                };
            }
            var writer = new ByteWriter();
            IntegerBlock.Encode(values, writer);
            var back = new long[values.Length];
            var reader = new ByteReader(writer.Written);
            IntegerBlock.Decode(ref reader, back);
            Assert.Equal(values, back);
        }));
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
