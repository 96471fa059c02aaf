using System.Text.RegularExpressions;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Kit.PromQl;

/// <summary>An expected text: exactly so, or found by a pattern; without both any will do.</summary>
internal sealed record ExpectedText(string? Exact, string? Pattern)
{
    public bool Fits(string text) => Exact is not null ? text == Exact : Pattern is null || Regex.IsMatch(text, Pattern);
}

/// <summary>One <c>eval</c> with what it expects.</summary>
internal sealed partial class EvalCase
{
    public string Query { get; private set; } = "";

    public bool IsInstant { get; private set; }

    public long StartMs { get; private set; }

    public long EndMs { get; private set; }

    public long StepMs { get; private set; }

    public string? Problem { get; private set; }

    public bool IsComplete { get; private set; }

    public ExpectedText? Failure { get; private set; }

    public List<ExpectedText> Warnings { get; } = [];

    public List<ExpectedText> Infos { get; } = [];

    public bool NoWarnings { get; private set; }

    public bool NoInfos { get; private set; }

    public bool Ordered { get; private set; }

    public string? Text { get; private set; }

    public double? Scalar { get; private set; }

    public (long Start, long End, long Step)? RangeVector { get; private set; }

    public List<SeriesLine> Series { get; } = [];

    public static EvalCase ReadHeader(string line)
    {
        var test = new EvalCase();
        Match m = Header().Match(line);
        if (!m.Success)
        {
            test.Problem = "not a valid eval line";
            return test;
        }
        test.Query = m.Groups["query"].Value;
        test.IsInstant = m.Groups["at"].Success;
        string suffix = m.Groups["old"].Value;
        if (suffix == "_fail")
            test.Failure = new ExpectedText(null, null);
        if (suffix == "_warn")
            test.Warnings.Add(new ExpectedText(null, null));
        if (suffix == "_info")
            test.Infos.Add(new ExpectedText(null, null));
        test.Ordered = suffix == "_ordered";
        bool ok = test.IsInstant
            ? TryTime(m.Groups["at"].Value, out long at) && (test.StartMs = at) == at
            : TryTime(m.Groups["from"].Value, out long from) & TryTime(m.Groups["to"].Value, out long to) & TryTime(m.Groups["step"].Value, out long step) && ((test.StartMs, test.EndMs, test.StepMs) = (from, to, step)) == (from, to, step);
        if (!ok)
            test.Problem = "not a valid time";
        return test;
    }

    private static bool TryTime(string text, out long ms)
    {
        bool minus = text.StartsWith('-');
        bool ok = DurationText.TryParse(minus ? text[1..] : text, out ms);
        if (minus)
            ms = -ms;
        return ok;
    }

    public void ReadLine(string line)
    {
        if (line.StartsWith("expected_fail_", StringComparison.Ordinal))
        {
            string[] parts = line.Split([' ', '\t'], 2);
            Failure = parts[0] == "expected_fail_message" ? new ExpectedText(parts[1].Trim(), null) : new ExpectedText(null, parts[1].Trim());
            IsComplete = true;
        }
        else if (line.StartsWith("expect ", StringComparison.Ordinal))
        {
            ReadExpect(line[7..].Trim());
        }
        else if (NumberText.TryParse(line, out double number))
        {
            Scalar = number;
            IsComplete = true;
        }
        else if (SeriesNotation.Parse(line, out string error) is { } series)
        {
            Series.Add(series);
        }
        else
        {
            Problem = error;
        }
    }

    private void ReadExpect(string rest)
    {
        if (rest.StartsWith("string ", StringComparison.Ordinal))
        {
            string quoted = rest[7..].Trim();
            if (!GoText.TryUnquote(quoted.AsSpan(1, quoted.Length - 2), quoted[0], out string text, out string error))
                Problem = error;
            Text = text;
            return;
        }
        Match range = RangeLine().Match(rest);
        if (range.Success)
        {
            bool ok = TryTime(range.Groups[1].Value, out long from) & TryTime(range.Groups[2].Value, out long to) & TryTime(range.Groups[3].Value, out long step);
            if (!ok)
                Problem = "not a valid range vector line";
            RangeVector = (from, to, step);
            return;
        }
        string[] parts = rest.Split([' ', '\t'], 2);
        string tail = parts.Length > 1 ? parts[1].Trim() : "";
        ExpectedText text2 = tail.StartsWith("msg:", StringComparison.Ordinal) ? new ExpectedText(tail[4..].Trim(), null)
            : tail.StartsWith("regex:", StringComparison.Ordinal) ? new ExpectedText(null, tail[6..].Trim()) : new ExpectedText(null, null);
        switch (parts[0])
        {
            case "fail": Failure = text2; break;
            case "warn": Warnings.Add(text2); break;
            case "info": Infos.Add(text2); break;
            case "no_warn": NoWarnings = true; break;
            case "no_info": NoInfos = true; break;
            case "ordered": Ordered = true; break;
            default: Problem = $"'expect {rest}' is not known"; break;
        }
    }

    [GeneratedRegex(@"^eval(?<old>_fail|_warn|_info|_ordered)?\s+(instant\s+(at\s+(?<at>\S+)\s+)|range\s+from\s+(?<from>\S+)\s+to\s+(?<to>\S+)\s+step\s+(?<step>\S+)\s+)(?<query>.+)$", RegexOptions.IgnoreCase)]
    private static partial Regex Header();

    [GeneratedRegex(@"^range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$")]
    private static partial Regex RangeLine();
}
