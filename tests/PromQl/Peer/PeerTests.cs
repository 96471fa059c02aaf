using System.Globalization;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;
using Bellwether.Kit.Live;
using Bellwether.Kit.PromQl;
using ValueType = Bellwether.Evaluate.PromQl.ValueType;

namespace Bellwether.PromQl.Tests.Peer;

/// <summary>Random expressions over random data, asked of a real Prometheus (2.42 of Debian) and of the engine. Only with scripts/test --long; BELLWETHER_PEER_SEED begins elsewhere.</summary>
public sealed class PeerTests
{
    private const int Rounds = 6;
    private const int QueriesPerRound = 500;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    private static bool IsLong => Environment.GetEnvironmentVariable("BELLWETHER_LONG") == "1";

    private static int FirstSeed => int.TryParse(Environment.GetEnvironmentVariable("BELLWETHER_PEER_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : 1;

    [Fact]
    public async Task A_real_prometheus_answers_random_queries_the_same()
    {
        for (int round = 0; IsLong && round < Rounds; round++)
            await RoundAsync(FirstSeed + round);
    }

    private static async Task RoundAsync(int seed)
    {
        var random = new Random(seed);
        MemorySeries data = PeerData.Make(random);
        string folder = Directory.CreateTempSubdirectory("bellwether-peer-").FullName;
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "data.om"), PeerData.Text(data));
            (int code, string output) = await Running.ToEndAsync("promtool", folder, "tsdb", "create-blocks-from", "openmetrics", "data.om", "blocks");
            Assert.True(code == 0, output);
            await File.WriteAllTextAsync(Path.Combine(folder, "prometheus.yml"), "global: {}\n");
            int port = Ports.Free();
            await using Running prometheus = Running.Start("prometheus", folder, "--config.file=prometheus.yml", "--storage.tsdb.path=blocks", "--storage.tsdb.retention.time=100y", $"--web.listen-address=127.0.0.1:{port}");
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = s_limit };
            await ReadyAsync(client, prometheus);
            var differences = new List<string>();
            var engine = new PromQlEngine(new EngineOptions { Experimental = true }, TimeProvider.System);
            for (int n = 0; n < QueriesPerRound; n++)
            {
                string query = PeerExpressions.Make(random);
                long start = PeerData.StartMs + (1000L * random.Next(PeerData.Seconds)), step = 1000L * (1 + random.Next(300));
                long end = random.Next(3) == 0 ? start : start + (step * random.Next(20));
                if (await DifferenceAsync(client, engine, data, query, start, end, step) is { } difference)
                    differences.Add($"seed {seed}: {query}\n    {start} to {end} by {step}: {difference}");
            }
            Assert.True(differences.Count == 0, $"{differences.Count} differences:\n" + string.Join('\n', differences));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task ReadyAsync(HttpClient client, Running prometheus)
    {
        using var limit = new CancellationTokenSource(s_limit, TimeProvider.System);
        while (true)
        {
            Assert.False(prometheus.HasExited, prometheus.Output);
            try
            {
                using HttpResponseMessage answer = await client.GetAsync("/-/ready", limit.Token);
                if (answer.IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, limit.Token);
        }
    }

    private static async Task<string?> DifferenceAsync(HttpClient client, PromQlEngine engine, MemorySeries data, string query, long start, long end, long step)
    {
        string asked = query.Replace("double_exponential_smoothing", "holt_winters", StringComparison.Ordinal), ours = query.Replace("holt_winters", "double_exponential_smoothing", StringComparison.Ordinal);
        bool instant = start == end;
        var form = new Dictionary<string, string> { ["query"] = asked };
        foreach ((string name, long ms) in instant ? (IEnumerable<(string, long)>)[("time", start)] : [("start", start), ("end", end), ("step", step)])
            form.Add(name, (ms / 1000).ToString(CultureInfo.InvariantCulture));
        using HttpResponseMessage response = await client.PostAsync(instant ? "/api/v1/query" : "/api/v1/query_range", new FormUrlEncodedContent(form));
        using JsonDocument answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        QueryResult result = instant ? engine.Instant(data, ours, start) : engine.Range(data, ours, start, end, step);
        return Compare(answer.RootElement, result);
    }

    private static string? Compare(JsonElement answer, QueryResult result)
    {
        if (answer.GetProperty("status").GetString() == "error")
        {
            string kind = result.Error?.Kind switch { QueryErrorKind.BadData => "bad_data", QueryErrorKind.Execution => "execution", null => "none", _ => "other" };
            return kind == answer.GetProperty("errorType").GetString() ? null : $"theirs failed: {answer.GetProperty("error").GetString()}; ours: {kind} {result.Error?.Message}";
        }
        // 2.42 lets it pass where a comparison leaves one of the many.
        if (result.Error?.Message.Contains("many-to-one matching must be explicit", StringComparison.Ordinal) == true)
            return null;
        if (result.Error is not null)
            return $"ours failed: {result.Error.Message}";
        JsonElement theirs = answer.GetProperty("data").GetProperty("result");
        if (result.Type == ValueType.Scalar)
            return Close(theirs[1].GetString()!, result.Scalar.Value) ? null : $"theirs {theirs[1]}, ours {result.Scalar.Value}";
        var ours = result.Series.ToDictionary(s => s.Labels.ToString(), s => s.Points);
        foreach (JsonElement series in theirs.EnumerateArray())
        {
            var builder = new LabelsBuilder();
            foreach (JsonProperty label in series.GetProperty("metric").EnumerateObject())
                builder.Set(label.Name, label.Value.GetString()!);
            string labels = builder.Build().ToString();
            if (!ours.Remove(labels, out IReadOnlyList<Point>? points))
                return $"{labels} is missing";
            JsonElement[] values = series.TryGetProperty("value", out JsonElement one) ? [one] : [.. series.GetProperty("values").EnumerateArray()];
            if (Points(values, points) is { } difference)
                return $"{labels}: {difference}";
        }
        return ours.Count == 0 ? null : $"{ours.First().Key} is too much";
    }

    private static string? Points(JsonElement[] theirs, IReadOnlyList<Point> ours)
    {
        for (int i = 0; i < Math.Max(theirs.Length, ours.Count); i++)
        {
            string their = i < theirs.Length ? $"{theirs[i][0]} {theirs[i][1].GetString()}" : "nothing", our = i < ours.Count ? $"{ours[i].TimestampMs / 1000} {ours[i].Value:R}" : "nothing";
            bool same = i < theirs.Length && i < ours.Count && (long)(theirs[i][0].GetDecimal() * 1000) == ours[i].TimestampMs && Close(theirs[i][1].GetString()!, ours[i].Value);
            if (!same)
                return $"point {i}: theirs {their}, ours {our}";
        }
        return null;
    }

    /// <summary>Equal but for rounding; a cancellation leaves some where it should leave nothing.</summary>
    private static bool Close(string text, double ours)
    {
        double theirs = text switch { "+Inf" => double.PositiveInfinity, "-Inf" => double.NegativeInfinity, "NaN" => double.NaN, _ => double.Parse(text, CultureInfo.InvariantCulture) };
        return theirs.Equals(ours) || Math.Abs(theirs - ours) <= Math.Max(1e-9, 1e-7 * Math.Max(Math.Abs(theirs), Math.Abs(ours)));
    }
}
