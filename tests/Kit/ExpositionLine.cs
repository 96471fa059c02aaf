using System.Globalization;
using System.Text;
using Bellwether.Core.Model;

namespace Bellwether.Kit;

/// <summary>One sample line of the text format, strict enough for recorded files.</summary>
public static class ExpositionLine
{
    /// <summary>Parses <c>name{a="b"} value</c>; empty label values are dropped, as they mean no label.</summary>
    public static (Labels Labels, double Value) Parse(string line)
    {
        int open = line.IndexOf('{', StringComparison.Ordinal);
        int blank = line.IndexOf(' ', StringComparison.Ordinal);
        var labels = new LabelsBuilder();
        int at;
        if (open < 0 || blank < open)
        {
            labels.Set(LabelNames.MetricName, line[..blank]);
            at = blank;
        }
        else
        {
            labels.Set(LabelNames.MetricName, line[..open]);
            at = open + 1;
            while (line[at] != '}')
            {
                int equals = line.IndexOf('=', at);
                string name = line[at..equals];
                at = equals + 2;
                var value = new StringBuilder();
                while (line[at] != '"')
                {
                    char c = line[at++];
                    if (c == '\\')
                        c = line[at++] switch { 'n' => '\n', char other => other };
                    value.Append(c);
                }
                labels.Set(name, value.ToString());
                at++;
                if (line[at] == ',')
                    at++;
            }
            at++;
        }
        return (labels.Build(), ParseValue(line[at..].Trim()));
    }

    private static double ParseValue(string text) => text switch
    {
        "NaN" => double.NaN,
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        _ => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture),
    };
}
