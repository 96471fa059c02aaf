using System.Text;

namespace Bellwether.Core.Configuration;

/// <summary>The documents of one YAML text.</summary>
public static class YamlDocuments
{
    /// <summary>The documents that hold something; each keeps its line numbers by empty lines in front.</summary>
    public static IEnumerable<string> Split(string text)
    {
        var document = new StringBuilder();
        bool content = false;
        int line = 0;
        foreach (string each in text.Split('\n'))
        {
            if (each.StartsWith("---", StringComparison.Ordinal) && (each.Length == 3 || char.IsWhiteSpace(each[3])))
            {
                if (content)
                    yield return document.ToString();
                document.Clear().Append('\n', line);
                content = false;
                document.Append("---").Append(each.AsSpan(3)).Append('\n');
            }
            else
            {
                content |= each.AsSpan().Trim().Length > 0 && each.TrimStart()[0] != '#';
                document.Append(each).Append('\n');
            }
            line++;
        }
        if (content)
            yield return document.ToString();
    }
}
