namespace Bellwether.Core.Model;

/// <summary>Compares strings as Prometheus does: by their UTF-8 bytes. UTF-16 code units order surrogates below U+E000..U+FFFF; this puts that right.</summary>
public static class Utf8Order
{
    /// <summary>Negative, zero or positive as <paramref name="a"/> sorts before, with or after <paramref name="b"/>.</summary>
    public static int Compare(string a, string b)
    {
        int common = a.AsSpan().CommonPrefixLength(b);
        if (common == a.Length || common == b.Length)
            return a.Length - b.Length;
        char x = a[common], y = b[common];
        bool xs = char.IsSurrogate(x), ys = char.IsSurrogate(y);
        return xs == ys ? x - y : xs ? 1 : -1;
    }
}
