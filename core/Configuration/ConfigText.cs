using System.Text;

namespace Bellwether.Core.Configuration;

/// <summary>
/// Prints a configuration as YAML, as <c>status/config</c> shows it: what was read, aliases written out, environment references filled in, and every secret
/// as <c>&lt;secret&gt;</c>. Comments are gone.
/// </summary>
public static class ConfigText
{
    private const string Hidden = "<secret>";
    private static readonly HashSet<string> s_secretKeys = ["password", "credentials", "bearer_token", "client_secret", "secret_key", "secrets", "token", "dsn", "key"];
    private static readonly HashSet<string> s_plainWords = new(["true", "false", "yes", "no", "on", "off", "null", "~"], StringComparer.OrdinalIgnoreCase);

    /// <summary>The text; empty for an empty file.</summary>
    public static string Print(ConfigNode root)
    {
        var text = new StringBuilder();
        if (!root.IsNull)
            Write(text, root, indent: 0, secret: false, afterDash: false);
        return text.ToString();
    }

    private static void Write(StringBuilder text, ConfigNode node, int indent, bool secret, bool afterDash)
    {
        switch (node.Kind)
        {
            case ConfigNodeKind.Mapping:
                foreach ((ConfigNode key, ConfigNode value) in node.Entries)
                {
                    Indent(text, afterDash ? 0 : indent);
                    afterDash = false;
                    text.Append(Scalar(key)).Append(':');
                    WriteValue(text, value, indent, secret || s_secretKeys.Contains(key.Text));
                }
                break;
            case ConfigNodeKind.Sequence:
                foreach (ConfigNode item in node.Items)
                {
                    Indent(text, afterDash ? 0 : indent);
                    afterDash = false;
                    text.Append('-');
                    if (item.Kind == ConfigNodeKind.Mapping && item.Entries.Count > 0)
                    {
                        text.Append(' ');
                        Write(text, item, indent + 2, secret, afterDash: true);
                    }
                    else
                    {
                        WriteValue(text, item, indent, secret);
                    }
                }
                break;
            default:
                Indent(text, indent);
                text.Append(secret ? Hidden : Scalar(node)).Append('\n');
                break;
        }
    }

    private static void WriteValue(StringBuilder text, ConfigNode value, int indent, bool secret)
    {
        if (value.Kind == ConfigNodeKind.Scalar)
            text.Append(' ').Append(secret && !value.IsNull ? Hidden : Scalar(value)).Append('\n');
        else if (value.Kind == ConfigNodeKind.Mapping ? value.Entries.Count == 0 : value.Items.Count == 0)
            text.Append(value.Kind == ConfigNodeKind.Mapping ? " {}\n" : " []\n");
        else
            Write(text.Append('\n'), value, indent + 2, secret, afterDash: false);
    }

    private static void Indent(StringBuilder text, int spaces) => text.Append(' ', spaces);

    private static string Scalar(ConfigNode node)
    {
        if (node.IsNull)
            return "null";
        string shown = WithoutUserInfo(node.Text);
        return IsPlain(shown) ? shown : Quoted(shown);
    }

    /// <summary>A URL may carry a password; the name stays.</summary>
    private static string WithoutUserInfo(string text)
    {
        int scheme = text.IndexOf("://", StringComparison.Ordinal);
        if (scheme < 0)
            return text;
        int start = scheme + 3;
        int end = text.AsSpan(start).IndexOfAny('/', '?', '#');
        ReadOnlySpan<char> authority = end < 0 ? text.AsSpan(start) : text.AsSpan(start, end);
        int at = authority.LastIndexOf('@');
        int colon = authority.IndexOf(':');
        return at > 0 && colon >= 0 && colon < at ? string.Concat(text.AsSpan(0, start + colon + 1), Hidden, text.AsSpan(start + at)) : text;
    }

    private static bool IsPlain(string text)
    {
        if (text.Length == 0 || s_plainWords.Contains(text) && text is not ("true" or "false"))
            return false;
        if (!char.IsAsciiLetterOrDigit(text[0]) && text[0] is not ('/' or '_' or '.' or '<') || text[^1] is ' ' or ':')
            return false;
        foreach (char c in text)
        {
            if (char.IsControl(c) || c is '#' or '"' or '\\')
                return false;
        }
        return !text.Contains(": ", StringComparison.Ordinal);
    }

    private static string Quoted(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (char c in text)
        {
            switch (c)
            {
                case '"' or '\\':
                    quoted.Append('\\').Append(c);
                    break;
                case '\n':
                    quoted.Append("\\n");
                    break;
                case '\t':
                    quoted.Append("\\t");
                    break;
                default:
                    if (char.IsControl(c))
                        quoted.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                    else
                        quoted.Append(c);
                    break;
            }
        }
        return quoted.Append('"').ToString();
    }
}
