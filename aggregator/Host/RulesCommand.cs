using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace Bellwether.Aggregator;

/// <summary><c>bellwether-aggregator rules backfill</c>: has a running aggregator evaluate rules over stored history.</summary>
internal static class RulesCommand
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);

    /// <summary>Makes the command; <paramref name="addressOf"/> gives the HTTP address that a configuration file names, or null after it has told the errors.</summary>
    public static Command Create(Func<string, string?> addressOf, TimeProvider time)
    {
        var config = new Option<string>("--config", "-c") { Description = "The aggregator's configuration; its HTTP address is asked.", DefaultValueFactory = _ => "aggregator.yaml" };
        var url = new Option<string?>("--url") { Description = "Address to ask instead, e.g. http://127.0.0.1:9090." };
        var from = new Option<string>("--from") { Description = "The first result: RFC 3339 or Unix seconds.", Required = true };
        var to = new Option<string?>("--to") { Description = "The last one. Default: now." };
        var reason = new Option<string?>("--reason") { Description = "Why; it is written down." };
        var by = new Option<string?>("--by") { Description = "Who asks; it is written down." };
        var reopen = new Option<bool>("--reopen") { Description = "Also replaces and removes results older than 7 days, which are sealed, and those of an earlier text of the rule. Needs --reason and --by." };
        var rule = new Argument<string[]>("RULE") { Description = "Recorded metrics or groups, with * for any text.", Arity = ArgumentArity.OneOrMore };
        var backfill = new Command("backfill", "Evaluates rules, and those that read them, over stored history on a running aggregator, and waits for the end.") { config, url, from, to, reason, by, reopen, rule };
        backfill.SetAction(async (parse, cancellation) =>
        {
            if (ServerAddress.Of(parse.GetValue(url), () => addressOf(parse.GetRequiredValue(config))) is not { } address)
                return 2;
            var form = parse.GetRequiredValue(rule).Select(r => KeyValuePair.Create("rule", r)).ToList();
            form.Add(KeyValuePair.Create("from", parse.GetRequiredValue(from)));
            foreach ((string name, string? value) in new[] { ("to", parse.GetValue(to)), ("reason", parse.GetValue(reason)), ("by", parse.GetValue(by)), ("reopen", parse.GetValue(reopen) ? "true" : null) })
            {
                if (value is not null)
                    form.Add(KeyValuePair.Create(name, value));
            }
            return await RunAsync(address + "/api/v1/rules/backfill", form, time, cancellation);
        });
        return new Command("rules", "Rules of a running aggregator.") { backfill };
    }

    private static async Task<int> RunAsync(string url, List<KeyValuePair<string, string>> form, TimeProvider time, CancellationToken cancellation)
    {
        using var client = new HttpClient { Timeout = s_limit };
        try
        {
            using var content = new FormUrlEncodedContent(form);
            using HttpResponseMessage begun = await client.PostAsync(url, content, cancellation);
            using JsonDocument first = JsonDocument.Parse(await begun.Content.ReadAsStringAsync(cancellation));
            if (!begun.IsSuccessStatusCode)
            {
                Console.Error.WriteLine(first.RootElement.TryGetProperty("detail", out JsonElement detail) ? detail.GetString() : begun.ReasonPhrase);
                return 1;
            }
            if (first.RootElement.GetProperty("since") is { ValueKind: JsonValueKind.String } since && since.GetString() != first.RootElement.GetProperty("from").GetString())
                Console.Error.WriteLine($"results are made from {since.GetString()} on: the store takes none before");
            string told = "";
            while (true)
            {
                using JsonDocument answer = JsonDocument.Parse(await client.GetStringAsync(url, cancellation));
                JsonElement now = answer.RootElement;
                long steps = now.GetProperty("steps").GetInt64(), due = now.GetProperty("stepsDue").GetInt64();
                string line = due == 0 ? "planning" : string.Create(CultureInfo.InvariantCulture, $"{steps} of {due} steps ({100.0 * steps / due:F0} %)");
                if (line != told)
                    Console.Error.WriteLine(told = line);
                switch (now.GetProperty("state").GetString())
                {
                    case "done":
                        Console.WriteLine($"done: {now.GetProperty("added")} results added, {now.GetProperty("replaced")} replaced, {now.GetProperty("removed")} removed, {now.GetProperty("failures")} steps failed");
                        return 0;
                    case "failed":
                        Console.Error.WriteLine(now.GetProperty("error").GetString());
                        return 1;
                }
                await Task.Delay(s_look, time, cancellation);
            }
        }
        catch (Exception e) when (e is HttpRequestException or JsonException || (e is TaskCanceledException && !cancellation.IsCancellationRequested))
        {
            Console.Error.WriteLine($"{url} cannot be asked: {e.Message}");
            return 1;
        }
    }
}
