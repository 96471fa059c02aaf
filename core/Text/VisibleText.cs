using System.Globalization;
using System.Text;

namespace Bellwether.Core.Text;

/// <summary>Text that others wrote (a target's body, a peer's message), for a terminal or a log: what would steer a terminal, or hide what stands there, is written out as <c>\x1b</c>.</summary>
public static class VisibleText
{
    /// <summary>The text with its control characters and changes of direction written out, line ends included; as it is when there are none.</summary>
    public static string Of(string text)
    {
        int first = 0;
        while (first < text.Length && !IsHidden(text[first]))
            first++;
        if (first == text.Length)
            return text;
        var shown = new StringBuilder(text, 0, first, text.Length + 16);
        foreach (char c in text.AsSpan(first))
        {
            if (IsHidden(c))
                shown.Append(c < 0x100 ? "\\x" : "\\u").Append(((int)c).ToString(c < 0x100 ? "x2" : "x4", CultureInfo.InvariantCulture));
            else
                shown.Append(c);
        }
        return shown.ToString();
    }

    private static bool IsHidden(char c) => char.IsControl(c) || c is (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069');
}
