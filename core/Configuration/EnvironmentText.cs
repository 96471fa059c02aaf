using System.Text;

namespace Bellwether.Core.Configuration;

/// <summary>Expands variables in a text as Go's os.Expand does, with <c>$$</c> for a dollar sign.</summary>
public static class EnvironmentText
{
    /// <summary><c>${NAME}</c> and <c>$NAME</c> become the variable's value, or nothing when it is not set.</summary>
    public static string Expand(string text, Func<string, string?> environment)
    {
        if (!text.Contains('$'))
            return text;
        var result = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '$' || i + 1 == text.Length)
            {
                result.Append(text[i]);
                continue;
            }
            if (text[i + 1] == '$')
            {
                result.Append('$');
                i++;
            }
            else if (text[i + 1] == '{' && text.IndexOf('}', i) is > 0 and var end)
            {
                result.Append(environment(text[(i + 2)..end]));
                i = end;
            }
            else
            {
                int stop = i + 1;
                while (stop < text.Length && (char.IsAsciiLetterOrDigit(text[stop]) || text[stop] == '_'))
                    stop++;
                if (stop == i + 1)
                    result.Append('$');
                else
                    result.Append(environment(text[(i + 1)..stop]));
                i = stop - 1;
            }
        }
        return result.ToString();
    }
}
