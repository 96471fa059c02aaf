using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Text;

namespace Bellwether.Aggregator;

/// <summary><c>bellwether-aggregator query</c>: asks a running aggregator (or any Prometheus) and prints the answer for people, or as it came.</summary>
internal static class QueryCommand
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(130);

    /// <summary>Makes the command; <paramref name="addressOf"/> gives the HTTP address that a configuration file names, or null after it has told the errors.</summary>
    public static Command Create(Func<string, string?> addressOf)
    {
        var config = new Option<string>("--config", "-c") { Description = "The aggregator's configuration; its HTTP address is asked.", DefaultValueFactory = _ => "aggregator.yaml" };
        var url = new Option<string?>("--url") { Description = "Address to ask instead, e.g. http://127.0.0.1:9090." };
        var time = new Option<string?>("--time") { Description = "Evaluation time: Unix seconds or RFC 3339. Default: now." };
        var start = new Option<string?>("--start") { Description = "Start of a range: Unix seconds or RFC 3339. With --end and --step." };
        var end = new Option<string?>("--end") { Description = "End of a range." };
        var step = new Option<string?>("--step") { Description = "Step of a range, e.g. 15s." };
        var json = new Option<bool>("--json") { Description = "Print the API's answer as it is." };
        var expression = new Argument<string>("EXPR") { Description = "The PromQL expression." };
        var command = new Command("query", "Evaluates a PromQL expression on a running aggregator and prints the result.") { config, url, time, start, end, step, json, expression };
        command.SetAction(async (parse, cancellation) =>
        {
            if (ServerAddress.Of(parse.GetValue(url), () => addressOf(parse.GetRequiredValue(config))) is not { } address)
                return 2;
            var form = new Dictionary<string, string> { ["query"] = parse.GetRequiredValue(expression) };
            bool range = parse.GetValue(start) is not null || parse.GetValue(end) is not null || parse.GetValue(step) is not null;
            foreach ((string name, string? value) in new[] { ("time", parse.GetValue(time)), ("start", parse.GetValue(start)), ("end", parse.GetValue(end)), ("step", parse.GetValue(step)) })
            {
                if (value is not null)
                    form[name] = value;
            }
            return await AskAsync(address + (range ? "/api/v1/query_range" : "/api/v1/query"), form, parse.GetValue(json), cancellation);
        });
        return command;
    }

    private static async Task<int> AskAsync(string url, Dictionary<string, string> form, bool raw, CancellationToken cancellation)
    {
        using var client = new HttpClient { Timeout = s_limit };
        try
        {
            using HttpResponseMessage answer = await client.PostAsync(url, new FormUrlEncodedContent(form), cancellation);
            string body = await answer.Content.ReadAsStringAsync(cancellation);
            if (raw)
            {
                Console.WriteLine(body);
                return answer.IsSuccessStatusCode ? 0 : 1;
            }
            using JsonDocument document = JsonDocument.Parse(body);
            JsonElement root = document.RootElement;
            PrintNotes(root);
            if (root.GetProperty("status").GetString() != "success")
            {
                Console.Error.WriteLine($"{root.GetProperty("errorType").GetString()}: {root.GetProperty("error").GetString()}");
                return 1;
            }
            Console.Write(Format(root.GetProperty("data")));
            return 0;
        }
        catch (Exception e) when (e is HttpRequestException or JsonException or KeyNotFoundException)
        {
            Console.Error.WriteLine($"{url}: {e.Message}");
            return 1;
        }
    }

    private static void PrintNotes(JsonElement root)
    {
        foreach (string kind in new[] { "warnings", "infos" })
        {
            if (!root.TryGetProperty(kind, out JsonElement notes))
                continue;
            foreach (JsonElement note in notes.EnumerateArray())
                Console.Error.WriteLine(note.GetString());
        }
    }

    private static string Format(JsonElement data)
    {
        var text = new StringBuilder();
        JsonElement result = data.GetProperty("result");
        switch (data.GetProperty("resultType").GetString())
        {
            case "scalar" or "string":
                text.Append(result[1].GetString()).Append('\n');
                break;
            case "vector":
                foreach (JsonElement series in result.EnumerateArray())
                    text.Append(VisibleText.Of(Name(series))).Append("  ").Append(PointText(series.TryGetProperty("value", out JsonElement v) ? v : series.GetProperty("histogram"))).Append('\n');
                break;
            default:
                foreach (JsonElement series in result.EnumerateArray())
                {
                    text.Append(VisibleText.Of(Name(series))).Append('\n');
                    foreach (string kind in new[] { "values", "histograms" })
                    {
                        if (!series.TryGetProperty(kind, out JsonElement points))
                            continue;
                        foreach (JsonElement point in points.EnumerateArray())
                            text.Append("  ").Append(Time(point[0])).Append("  ").Append(PointText(point)).Append('\n');
                    }
                }
                break;
        }
        return text.Length == 0 ? "(no series)\n" : text.ToString();
    }

    private static string Name(JsonElement series)
    {
        var builder = new Core.Model.LabelsBuilder();
        foreach (JsonProperty label in series.GetProperty("metric").EnumerateObject())
            builder.Set(label.Name, label.Value.GetString() ?? "");
        return builder.Build().ToString();
    }

    private static string PointText(JsonElement point) => point[1].ValueKind == JsonValueKind.String ? point[1].GetString()! : point[1].GetRawText();

    private static string Time(JsonElement unixSeconds) =>
        DateTimeOffset.FromUnixTimeMilliseconds((long)Math.Round(unixSeconds.GetDouble() * 1000)).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
}
