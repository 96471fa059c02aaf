namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>Floats in a form of Go's strconv that only alerts use.</summary>
public static class GoFloat
{
    /// <summary>The exponent form with the fewest digits: <c>1e+00</c>, <c>4.5e+00</c>; NaN, +Inf, -Inf.</summary>
    public static string Exponent(double value) => GoFormat.Exponent(value);
}
