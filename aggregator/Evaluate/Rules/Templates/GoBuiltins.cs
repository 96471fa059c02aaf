using System.Globalization;
using System.Text;

namespace Bellwether.Evaluate.Rules.Templates;

/// <summary>The functions that every Go template has, but for and/or, which do not evaluate all arguments.</summary>
internal static class GoBuiltins
{
    public static object? Call(string name, List<object?> a)
    {
        switch (name)
        {
            case "not":
                return !TemplateValues.IsTrue(One(name, a));
            case "len":
                return Length(One(name, a));
            case "index":
                return Index(a);
            case "slice":
                return Slice(a);
            case "print":
                return Print(a);
            case "println":
                return string.Join(' ', a.Select(TemplateValues.Print)) + "\n";
            case "printf":
                return a.Count > 0 && a[0] is string format ? GoFormat.Sprintf(format, a.GetRange(1, a.Count - 1)) : throw Error(name, "the first argument must be a format string");
            case "html":
                return Html(Joined(a));
            case "js":
                return Js(Joined(a));
            case "urlquery":
                return TemplateFunctions.QueryEscape(Joined(a));
            case "eq":
                return Equal(a);
            case "ne":
                return !EqualPair(Two(name, a).Left, a[1]);
            case "lt":
                return Compare(name, a) < 0;
            case "le":
                return Compare(name, a) <= 0;
            case "gt":
                return Compare(name, a) > 0;
            case "ge":
                return Compare(name, a) >= 0;
            default:
                throw Error(name, "there is nothing that can be called");
        }
    }

    private static long Length(object? value) => value switch
    {
        string s => Encoding.UTF8.GetByteCount(s),
        TemplateMap m => m.Items.Count,
        IReadOnlyList<object?> l => l.Count,
        null => throw Error("len", "len of nil pointer"),
        _ => throw Error("len", $"len of type {TemplateValues.TypeName(value)}"),
    };

    private static object? Index(List<object?> a)
    {
        if (a.Count == 0)
            throw new TemplateException("wrong number of args for index: want at least 1 got 0");
        object? value = a[0];
        foreach (object? key in a.Skip(1))
        {
            value = value switch
            {
                TemplateMap m when key is string s => m.Get(s),
                IReadOnlyList<object?> l when key is long i => i >= 0 && i < l.Count ? l[(int)i] : throw Error("index", $"index out of range: {i}"),
                string s when key is long i => i >= 0 && i < Encoding.UTF8.GetByteCount(s) ? (long)Encoding.UTF8.GetBytes(s)[i] : throw Error("index", $"index out of range: {i}"),
                null => throw Error("index", "index of untyped nil"),
                _ => throw Error("index", $"can't index item of type {TemplateValues.TypeName(value)} with {TemplateValues.TypeName(key)}"),
            };
        }
        return value;
    }

    private static object Slice(List<object?> a)
    {
        if (a.Count == 0 || a.Count > 3 || a.Skip(1).Any(x => x is not long))
            throw Error("slice", "needs a text or a list and up to two whole numbers");
        int length = (int)Length(a[0]);
        long from = a.Count > 1 ? (long)a[1]! : 0, to = a.Count > 2 ? (long)a[2]! : length;
        if (from < 0 || to > length || from > to)
            throw Error("slice", $"invalid slice index: {from} > {to} or outside 0..{length}");
        return a[0] switch
        {
            string s => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(s).AsSpan((int)from, (int)(to - from))),
            List<object?> l => l.GetRange((int)from, (int)(to - from)),
            _ => throw Error("slice", $"can't slice item of type {TemplateValues.TypeName(a[0])}"),
        };
    }

    /// <summary>Go's Sprint: a space between two operands when neither is a string.</summary>
    private static string Print(List<object?> a)
    {
        var text = new StringBuilder();
        for (int i = 0; i < a.Count; i++)
        {
            if (i > 0 && a[i] is not string && a[i - 1] is not string)
                text.Append(' ');
            text.Append(TemplateValues.Print(a[i]));
        }
        return text.ToString();
    }

    private static string Joined(List<object?> a) => a.Count == 1 && a[0] is string s ? s : Print(a);

    private static string Html(string text)
    {
        var html = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            html.Append(c switch
            {
                '"' => "&#34;",
                '\'' => "&#39;",
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '\0' => "\uFFFD",
                _ => c.ToString(),
            });
        }
        return html.ToString();
    }

    private static string Js(string text)
    {
        var js = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            switch (c)
            {
                case '\\': js.Append(@"\\"); break;
                case '\'': js.Append(@"\'"); break;
                case '"': js.Append("\\\""); break;
                case '<' or '>' or '&' or '=': js.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}"); break;
                default:
                    if (c < ' ')
                        js.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:X4}");
                    else
                        js.Append(c);
                    break;
            }
        }
        return js.ToString();
    }

    private static bool Equal(List<object?> a)
    {
        if (a.Count < 2)
            throw Error("eq", "missing argument for comparison");
        return a.Skip(1).Any(other => EqualPair(a[0], other));
    }

    private static bool EqualPair(object? left, object? right)
    {
        if (left is null || right is null)
            return left is null && right is null;
        if (left.GetType() != right.GetType())
            throw new TemplateException("error calling eq: incompatible types for comparison");
        return left switch
        {
            string or long or bool => left.Equals(right),
            double d => d == (double)right,
            _ => throw new TemplateException($"error calling eq: non-comparable type {TemplateValues.TypeName(left)}"),
        };
    }

    private static int Compare(string name, List<object?> a)
    {
        (object? left, object? right) = Two(name, a);
        return (left, right) switch
        {
            (string x, string y) => string.CompareOrdinal(x, y),
            (long x, long y) => x.CompareTo(y),
            // NaN is neither less nor greater: 2 for lt and le, -2 for gt and ge would both be "false".
            (double x, double y) when double.IsNaN(x) || double.IsNaN(y) => name is "lt" or "le" ? 1 : -1,
            (double x, double y) => x < y ? -1 : x > y ? 1 : 0,
            _ => throw Error(name, left?.GetType() == right?.GetType() ? "invalid type for comparison" : "incompatible types for comparison"),
        };
    }

    private static object? One(string name, List<object?> a) => a.Count == 1 ? a[0] : throw new TemplateException($"wrong number of args for {name}: want 1 got {a.Count}");

    private static (object? Left, object? Right) Two(string name, List<object?> a) =>
        a.Count == 2 ? (a[0], a[1]) : throw new TemplateException($"wrong number of args for {name}: want 2 got {a.Count}");

    private static TemplateException Error(string name, string what) => new($"error calling {name}: {what}");
}
