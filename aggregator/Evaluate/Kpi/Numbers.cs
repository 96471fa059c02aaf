using System.Globalization;

namespace Bellwether.Evaluate.Kpi;

/// <summary>Numbers as PromQL writes them.</summary>
internal static class Numbers
{
    /// <summary>The shortest text that reads as the same number.</summary>
    public static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture).ToLowerInvariant();

    /// <summary>Whether a number is another one, to the bit.</summary>
    public static bool Is(double a, double b) => a.Equals(b);
}
