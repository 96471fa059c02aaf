using Bellwether.Core.Model;

namespace Bellwether.Store.Head;

/// <summary>What counts when the same (series, time) arrives with different values: the larger wins, a stale marker loses (docs/ARCHITECTURE.md, idea 5).</summary>
internal static class SampleRule
{
    /// <summary>Whether <paramref name="a"/> stands against <paramref name="b"/>. Total over all bit patterns, so that the order of arrival never matters.</summary>
    public static bool Wins(double a, double b) => Rank(a, b) > 0;

    /// <summary>Whether two values are the same sample.</summary>
    public static bool Same(double a, double b) => BitConverter.DoubleToUInt64Bits(a) == BitConverter.DoubleToUInt64Bits(b);

    // Stale markers lowest, then other NaNs, then numbers by size; equal numbers (0 and -0) and NaNs among themselves by bits.
    private static int Rank(double a, double b)
    {
        int classA = ClassOf(a), classB = ClassOf(b);
        if (classA != classB)
            return classA - classB;
        if (classA == 2 && a != b)
            return a > b ? 1 : -1;
        return BitConverter.DoubleToInt64Bits(a).CompareTo(BitConverter.DoubleToInt64Bits(b));
    }

    private static int ClassOf(double value) => SpecialValues.IsStale(value) ? 0 : double.IsNaN(value) ? 1 : 2;
}
