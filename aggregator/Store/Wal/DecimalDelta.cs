namespace Bellwether.Store.Wal;

/// <summary>Values as whole numbers of tenths, hundredths and so on (value = integer / 10^exponent, bit-exact), so that one can be written as its difference from the one before.</summary>
internal static class DecimalDelta
{
    /// <summary>No exponent: exponents are below it.</summary>
    public const int None = 14;

    private const double MaxInteger = 1L << 52;

    private static readonly double[] s_powers = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

    /// <summary>The integer of a value that has one with an exponent; false for minus zero, too, and for what is not finite.</summary>
    public static bool TryInteger(double value, int exponent, out long integer)
    {
        integer = 0;
        if (exponent >= None)
            return false;
        integer = Integer(value, exponent);
        return BitConverter.DoubleToInt64Bits(Value(integer, exponent)) == BitConverter.DoubleToInt64Bits(value);
    }

    /// <summary>The least exponent with which a value is an integer, or <see cref="None"/>.</summary>
    public static int Find(double value, out long integer)
    {
        integer = 0;
        for (int exponent = 0; exponent < None && Math.Abs(value) < MaxInteger; exponent++)
        {
            if (TryInteger(value, exponent, out integer))
                return exponent;
        }
        return None;
    }

    /// <summary>The integer next to a value, 0 where that is too large: what differences are taken from, whether it is exact or not.</summary>
    public static long Integer(double value, int exponent)
    {
        double scaled = Math.Round(value * s_powers[exponent]);
        return Math.Abs(scaled) < MaxInteger ? (long)scaled : 0;
    }

    /// <summary>The value of an integer.</summary>
    public static double Value(long integer, int exponent) => integer / s_powers[exponent];
}
