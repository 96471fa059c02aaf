using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.PromQl.Syntax;
using Bellwether.Kit.PromQl;

namespace Bellwether.Conformance;

/// <summary>Scripts in PromQL's test language.</summary>
internal sealed class PromQlTestTopic : ITopic
{
    public string Name => "promql/promqltest";

    public void Run(string folder, TopicReport report)
    {
        foreach (string file in Directory.GetFiles(folder, "*.test").Order())
        {
            string name = Path.GetFileName(file);
            IReadOnlyList<EvalOutcome> outcomes = TestScript.Run(File.ReadAllText(file), TimeProvider.System);
            foreach (EvalOutcome outcome in outcomes)
            {
                if (outcome.Failure is null)
                    report.Pass();
                else
                    report.Fail(name, outcome.Line, outcome.Text, "as the script says", outcome.Failure);
            }
            report.Note($"{name}: {outcomes.Count(o => o.Failure is null)} of {outcomes.Count}");
        }
    }
}

/// <summary>Range queries with recorded answers over one data set.</summary>
internal sealed class PromQlReferenceTopic : ITopic
{
    public const string Subquery = "avg_over_time(rate(demo_cpu_usage_seconds_total[1m])[2m:10s])";

    /// <summary>Where Prometheus 3, and so ours, means something else than 2.42: why.</summary>
    public static IReadOnlyDictionary<string, string> Changed { get; } = new Dictionary<string, string>()
    {
        ["label_replace(demo_num_cpus, \"~invalid\", \"\", \"src\", \"(.*)\")"] = "label names may be any UTF-8 text in Prometheus 3: it must not fail",
        ["label_join(demo_num_cpus, \"~invalid\", \"-\", \"instance\")"] = "label names may be any UTF-8 text in Prometheus 3: it must not fail",
        [Subquery] = "windows are open on the left in Prometheus 3: with one millisecond more the step at the window's start is in, and the recorded answer must come out",
    };

    public string Name => "promql/reference-2.42";

    public void Run(string folder, TopicReport report)
    {
        using var meta = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "meta.json")));
        long Ms(string key) => meta.RootElement.GetProperty(key).GetInt64() * 1000;
        MemorySeries series = TestScript.Load(File.ReadAllText(Path.Combine(folder, "dataset.test")), TimeProvider.System, Ms("base_time"));
        var engine = new PromQlEngine(new EngineOptions(), TimeProvider.System);
        int number = 0;
        foreach (string line in File.ReadLines(Path.Combine(folder, "results.jsonl")))
        {
            number++;
            using var answer = JsonDocument.Parse(line);
            string query = answer.RootElement.GetProperty("query").GetString()!;
            string asked = query == Subquery ? query.Replace("[2m:", "[120001ms:", StringComparison.Ordinal) : query;
            QueryResult result = engine.Range(series, asked, Ms("start"), Ms("end"), Ms("step"));
            bool isNewer = Changed.TryGetValue(query, out string? why);
            if (isNewer)
                report.Note($"results.jsonl:{number}: {why}");
            string? failure = isNewer && query != Subquery ? result.Error?.Message : Compare(answer.RootElement, result);
            if (failure is null)
                report.Pass();
            else
                report.Fail("results.jsonl", number, query, "the recorded answer", failure);
        }
    }

    /// <summary>How a result differs from a recorded answer; null: it does not.</summary>
    public static string? Compare(JsonElement answer, QueryResult result)
    {
        if (answer.TryGetProperty("error", out JsonElement error))
        {
            string kind = result.Error?.Kind switch { QueryErrorKind.BadData => "bad_data", QueryErrorKind.Execution => "execution", null => "no error", _ => "other" };
            return kind == error.GetString() ? null : $"expected error {error.GetString()}, got {kind} {result.Error?.Message}";
        }
        if (result.Error is not null)
            return $"failed: {result.Error.Message}";
        JsonElement wanted = answer.GetProperty("result");
        if (wanted.GetArrayLength() != result.Series.Count)
            return $"expected {wanted.GetArrayLength()} series, got {result.Series.Count}";
        foreach (JsonElement series in wanted.EnumerateArray())
        {
            var builder = new LabelsBuilder();
            foreach (JsonProperty label in series.GetProperty("metric").EnumerateObject())
                builder.Set(label.Name, label.Value.GetString()!);
            Labels labels = builder.Build();
            if (result.Series.FirstOrDefault(s => s.Labels.Equals(labels)) is not { } got)
                return $"missing {labels}";
            if (Points(series.GetProperty("values"), got) is { } failure)
                return $"{labels}: {failure}";
        }
        return null;
    }

    private static string? Points(JsonElement values, ResultSeries got)
    {
        if (values.GetArrayLength() != got.Points.Count)
            return $"expected {values.GetArrayLength()} points, got {got.Points.Count}";
        for (int i = 0; i < got.Points.Count; i++)
        {
            long time = (long)(values[i][0].GetDecimal() * 1000);
            string text = values[i][1].GetString()!;
            double value = text switch { "+Inf" => double.PositiveInfinity, "-Inf" => double.NegativeInfinity, "NaN" => double.NaN, _ => double.Parse(text, CultureInfo.InvariantCulture) };
            double actual = got.Points[i].Value;
            bool same = value.Equals(actual) || value == actual || Math.Abs(value - actual) <= 1e-5 * Math.Max(Math.Abs(value), Math.Abs(actual));
            if (got.Points[i].TimestampMs != time || !same)
                return $"expected {text} at {time}, got {actual} at {got.Points[i].TimestampMs}";
        }
        return null;
    }
}

/// <summary>Queries of dashboards: what must parse and what must not.</summary>
internal sealed class DashboardsTopic : ITopic
{
    public string Name => "dashboards";

    public void Run(string folder, TopicReport report)
    {
        Each(folder, "queries.shared.jsonl", true, report);
        Each(folder, "queries-invalid.shared.jsonl", false, report);
    }

    private static void Each(string folder, string file, bool valid, TopicReport report)
    {
        int number = 0;
        foreach (string line in File.ReadLines(Path.Combine(folder, file)))
        {
            number++;
            using var query = JsonDocument.Parse(line);
            string text = query.RootElement.GetProperty("promql").GetString()!;
            ParseResult result = PromQlParser.Parse(text);
            bool printsBack = result.Expr is null || PromQlParser.Parse(result.Expr.ToString()).Expr?.ToString() == result.Expr.ToString();
            if (result.Expr is not null == valid && printsBack)
                report.Pass();
            else
                report.Fail(file, number, text, valid ? "parses, and prints what parses to the same" : "does not parse", result.Expr?.ToString() ?? result.Errors[0].ToString());
        }
    }
}
