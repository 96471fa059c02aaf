using System.Globalization;

namespace Bellwether.Core.Model;

/// <summary>
/// Results that were evaluated again after late data came (docs/ARCHITECTURE.md, idea 5). The store keeps one value per (series, time), the larger; a corrected result may be smaller, or gone. So it
/// stands in a series of the same labels and <see cref="Label"/> = 1, 2, ..., which hides what stands below it at the same time: the earlier values stay readable.
/// </summary>
public static class Revision
{
    /// <summary>The label of corrected results.</summary>
    public const string Label = "__revision__";

    /// <summary>The bits of "there is no result at this time any more".</summary>
    public const ulong RemovedBits = 0x7FF0000000000003;

    /// <summary>"There is no result at this time any more." A NaN; never compare it with ==.</summary>
    public static double Removed => BitConverter.UInt64BitsToDouble(RemovedBits);

    /// <summary>Whether a value is <see cref="Removed"/>.</summary>
    public static bool IsRemoved(double value) => BitConverter.DoubleToUInt64Bits(value) == RemovedBits;

    /// <summary>The number of a series' revision; 0: it is no revision.</summary>
    public static int Of(Labels labels) => labels.TryGet(Label, out string? text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;

    /// <summary>The series of a revision.</summary>
    public static Labels Make(Labels series, int number) => series.With(Label, number.ToString(CultureInfo.InvariantCulture));
}
