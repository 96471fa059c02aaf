using System.Globalization;
using System.Text;
using Bellwether.Core.Exposition;

namespace Bellwether.Core.Tests.Exposition;

public class FloatTextTests
{
    [Theory]
    [InlineData("1", 1)]
    [InlineData("+1.5", 1.5)]
    [InlineData("-.5", -0.5)]
    [InlineData("1.", 1)]
    [InlineData("12345678901234567890", 12345678901234567890d)]
    [InlineData("1e22", 1e22)]
    [InlineData("1e23", 1e23)]
    [InlineData("9007199254740993", 9007199254740992d)]
    [InlineData("1.7976931348623157e308", double.MaxValue)]
    [InlineData("4.9e-324", double.Epsilon)]
    [InlineData("1e-999999999", 0)]
    [InlineData("0.1e1", 1)]
    [InlineData("Inf", double.PositiveInfinity)]
    [InlineData("+inf", double.PositiveInfinity)]
    [InlineData("-INFINITY", double.NegativeInfinity)]
    [InlineData("nan", double.NaN)]
    [InlineData("0000000000000000000000000000000000001.25", 1.25)]
    public void Reads_what_Go_reads(string text, double expected)
    {
        Assert.True(FloatText.TryParse(Encoding.UTF8.GetBytes(text), out double value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-")]
    [InlineData(".")]
    [InlineData("1e")]
    [InlineData("1e+")]
    [InlineData("e5")]
    [InlineData("0x10")]
    [InlineData("0x1p-2")]
    [InlineData("1_000")]
    [InlineData("1e400")]
    [InlineData("-NaN")]
    [InlineData("1 ")]
    [InlineData(" 1")]
    [InlineData("1,5")]
    [InlineData("in")]
    [InlineData("--1")]
    [InlineData("1.2.3")]
    public void Refuses_what_Go_refuses(string text) => Assert.False(FloatText.TryParse(Encoding.UTF8.GetBytes(text), out _));

    [Fact]
    public void Every_double_reads_back_to_the_same_bits()
    {
        var random = new Random(20260101);
        byte[] buffer = new byte[40];
        for (int i = 0; i < 50_000; i++)
        {
            double value = i % 3 == 0 ? random.Next(1_000_000) / 1000.0 : BitConverter.Int64BitsToDouble(random.NextInt64());
            if (!double.IsFinite(value))
                continue;
            int n = FloatText.Format(value, buffer);
            Assert.True(FloatText.TryParse(buffer.AsSpan(0, n), out double back));
            Assert.Equal(BitConverter.DoubleToInt64Bits(value), BitConverter.DoubleToInt64Bits(back));
            string r = value.ToString("F6", CultureInfo.InvariantCulture);
            Assert.True(FloatText.TryParse(Encoding.ASCII.GetBytes(r), out double six));
            Assert.Equal(double.Parse(r, CultureInfo.InvariantCulture), six);
        }
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-0.0, "-0")]
    [InlineData(1, "1")]
    [InlineData(123456, "123456")]
    [InlineData(1000000, "1e+06")]
    [InlineData(1234567.5, "1.2345675e+06")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(0.00001, "1e-05")]
    [InlineData(0.25, "0.25")]
    [InlineData(100, "100")]
    [InlineData(1.7e300, "1.7e+300")]
    [InlineData(double.NegativeInfinity, "-Inf")]
    public void Writes_as_Go_writes(double value, string expected) => Assert.Equal(expected, FloatText.ToText(value));

    [Theory]
    [InlineData(1, "1.0")]
    [InlineData(0.5, "0.5")]
    [InlineData(0, "0.0")]
    [InlineData(1e7, "1e+07")]
    [InlineData(double.PositiveInfinity, "+Inf")]
    public void Bounds_are_always_floats(double value, string expected) => Assert.Equal(expected, FloatText.ToBoundText(value));
}
