using System.Text.Json;
using Bellwether.Core.Configuration;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Kit.PromQl;

namespace Bellwether.Conformance;

/// <summary>
/// Templates of queries, filled with all combinations of their variants. Each must parse and print back; where answers are recorded (the folder <c>reference-2.42</c> beside it) the plain evaluator must give
/// them as a range, and the fast one at each time alone; a query that <c>should_fail</c> must fail, and no other.
/// </summary>
internal sealed class ComplianceQueriesTopic : ITopic
{
    private const string File = "promql-test-queries.yml";

    private static readonly Dictionary<string, string[]> s_variants = new()
    {
        ["range"] = ["1s", "15s", "1m", "5m", "15m", "1h"],
        ["offset"] = ["1m", "5m", "10m"],
        ["simpleAggrOp"] = ["sum", "avg", "max", "min", "count", "stddev", "stdvar"],
        ["topBottomOp"] = ["topk", "bottomk"],
        ["quantile"] = ["-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"],
        ["arithBinOp"] = ["+", "-", "*", "/", "%", "^"],
        ["compBinOp"] = ["==", "!=", "<", ">", "<=", ">="],
        ["binOp"] = ["+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="],
        ["simpleMathFunc"] = ["abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round"],
        ["simpleTimeAggrOp"] = ["sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last"],
        ["extrapolatedRateFunc"] = ["delta", "rate", "increase"],
        ["instantRateFunc"] = ["idelta", "irate"],
        ["clampFunc"] = ["clamp_min", "clamp_max"],
        ["dateFunc"] = ["day_of_month", "day_of_week", "days_in_month", "hour", "minute", "month", "year"],
    };

    public string Name => "promql/compliance-queries";

    public void Run(string folder, TopicReport report)
    {
        var errors = new List<ConfigError>();
        ConfigNode? cases = YamlReader.Read(System.IO.File.ReadAllText(Path.Combine(folder, File)), File, errors)?.Find("test_cases");
        if (cases is null)
        {
            report.Fail(File, 1, "test_cases", "a list", errors.Count > 0 ? errors[0].ToString() : "none");
            return;
        }
        Recorded? recorded = Recorded.Load(Path.Combine(Path.GetDirectoryName(folder)!, "reference-2.42"));
        if (recorded is null)
            report.Note("no answers beside it (reference-2.42): parsing and printing only");
        var asked = new HashSet<string>();
        foreach (ConfigNode one in cases.Items)
        {
            bool fails = one.Find("should_fail")?.Text == "true";
            foreach (string query in Fill(one.Find("query")!.Text, [.. one.Find("variant_args")?.Items.Select(i => i.Text) ?? []]))
            {
                asked.Add(query);
                report.Case(File, one.Line, query, () => Check(query, one.Line, fails, recorded, report));
            }
        }
        foreach (string query in recorded?.Queries.Where(q => !asked.Contains(q)) ?? [])
            report.Fail("results.jsonl", 0, query, "is one of the templates' queries", "no template gives it");
        report.Note($"{cases.Items.Count} templates, {asked.Count} queries");
    }

    private static void Check(string query, int line, bool fails, Recorded? recorded, TopicReport report)
    {
        bool isNewer = PromQlReferenceTopic.Changed.TryGetValue(query, out string? why);
        if (isNewer)
            report.Note($"{File}:{line}: {query}: {why}");
        ParseResult parsed = PromQlParser.Parse(query);
        string? failure = parsed.Expr is null
            ? fails ? null : parsed.Errors[0].ToString()
            : PromQlParser.Parse(parsed.Expr.ToString()).Expr?.ToString() == parsed.Expr.ToString() ? null : "prints what does not parse to the same";
        failure ??= recorded?.Check(query, fails, isNewer);
        if (failure is null)
            report.Pass();
        else
            report.Fail(File, line, query, fails ? "fails" : "the recorded answer", failure);
    }

    private static IEnumerable<string> Fill(string query, string[] variants)
    {
        if (variants.Length == 0)
            return [query];
        return s_variants[variants[0]].SelectMany(v => Fill(query.Replace("{{." + variants[0] + "}}", v, StringComparison.Ordinal), variants[1..]));
    }

    /// <summary>A data set and recorded answers.</summary>
    private sealed class Recorded(MemorySeries series, long startMs, long endMs, long stepMs, Dictionary<string, string> answers)
    {
        private readonly PromQlEngine _plain = new(new EngineOptions { Plain = true }, TimeProvider.System);
        private readonly PromQlEngine _fast = new(new EngineOptions(), TimeProvider.System);

        public IEnumerable<string> Queries => answers.Keys;

        public static Recorded? Load(string folder)
        {
            if (!Directory.Exists(folder))
                return null;
            using var meta = JsonDocument.Parse(System.IO.File.ReadAllText(Path.Combine(folder, "meta.json")));
            long Ms(string key) => meta.RootElement.GetProperty(key).GetInt64() * 1000;
            var answers = new Dictionary<string, string>();
            foreach (string line in System.IO.File.ReadLines(Path.Combine(folder, "results.jsonl")))
            {
                using var answer = JsonDocument.Parse(line);
                answers[answer.RootElement.GetProperty("query").GetString()!] = line;
            }
            MemorySeries series = TestScript.Load(System.IO.File.ReadAllText(Path.Combine(folder, "dataset.test")), TimeProvider.System, Ms("base_time"));
            return new Recorded(series, Ms("start"), Ms("end"), Ms("step"), answers);
        }

        public string? Check(string query, bool fails, bool isNewer)
        {
            if (!answers.TryGetValue(query, out string? line))
                return "no answer is recorded for it";
            using var answer = JsonDocument.Parse(line);
            if (answer.RootElement.TryGetProperty("error", out _) != fails)
                return "the record says otherwise than should_fail";
            string asked = query == PromQlReferenceTopic.Subquery ? query.Replace("[2m:", "[120001ms:", StringComparison.Ordinal) : query;
            QueryResult range = _plain.Range(series, asked, startMs, endMs, stepMs);
            string? failure = isNewer && fails ? range.Error?.Message : PromQlReferenceTopic.Compare(answer.RootElement, range);
            return failure ?? (range.Error is null ? AtEachTime(asked, range) : null);
        }

        private string? AtEachTime(string query, QueryResult range)
        {
            for (long at = startMs; at <= endMs; at += stepMs)
            {
                QueryResult one = _fast.Instant(series, query, at);
                if (one.Error is not null)
                    return $"at {at} alone: {one.Error.Message}";
                var points = range.Series.SelectMany(s => s.Points.Where(p => p.TimestampMs == at).Select(p => (s.Labels, p.Value))).ToDictionary(p => p.Labels, p => p.Value);
                var alone = one.Type == Evaluate.PromQl.ValueType.Scalar
                    ? new Dictionary<Core.Model.Labels, double> { [Core.Model.Labels.Empty] = one.Scalar.Value }
                    : one.Series.ToDictionary(s => s.Labels, s => s.Points[0].Value);
                if (points.Count != alone.Count || points.Any(p => !alone.TryGetValue(p.Key, out double value) || BitConverter.DoubleToInt64Bits(value) != BitConverter.DoubleToInt64Bits(p.Value)))
                    return $"at {at} alone it gives another value than in the range";
            }
            return null;
        }
    }
}
