namespace Bellwether.Core.Model;

/// <summary>Values with a meaning beyond their number, compared by bits (Prometheus remote write specification, "Stale Markers").</summary>
public static class SpecialValues
{
    /// <summary>The bits of the stale marker.</summary>
    public const ulong StaleBits = 0x7FF0000000000002;

    /// <summary>The bits of an ordinary NaN as Prometheus writes it.</summary>
    public const ulong NormalNaNBits = 0x7FF8000000000001;

    /// <summary>"This series ended here." A NaN; never compare it with ==.</summary>
    public static double StaleMarker => BitConverter.UInt64BitsToDouble(StaleBits);

    /// <summary>Whether a value is the stale marker (other NaNs are not).</summary>
    public static bool IsStale(double value) => BitConverter.DoubleToUInt64Bits(value) == StaleBits;
}
