using System.Globalization;
using System.Text.Json;

namespace Bellwether.EndToEnd;

/// <summary>Compares what a counting target answered with what is stored.</summary>
internal static class Ledger
{
    /// <summary>Answers that may be lost by kills of the agent besides the one in flight at each: a disk may take longer than a scrape interval for a sync, and what was answered meanwhile waits for the next.</summary>
    public const int SlowSyncs = 2;

    /// <summary>The scrape_configs of one job "ledger" that scrapes a target every second.</summary>
    public static string Scraping(CountingTarget target, string job = "ledger") => $"""
        global:
          scrape_interval: 1s
          scrape_timeout: 1s
        scrape_configs:
          - job_name: {job}
            static_configs:
              - targets: ["{target.Address}"]
        """;

    /// <summary>Waits until the newest stored answer is later than an answer.</summary>
    public static Task WaitForAfterAsync(Site site, int answer) =>
        site.WaitForAsync($"an answer after {answer}", async () => await site.Api.ValueAsync("max(max_over_time(ledger_value{i=\"0\"}[30m]))") > (answer * 1000) + 999);

    /// <summary>Waits until at most <paramref name="lostMax"/> of the answers up to one are missing, and compares everything then.</summary>
    public static async Task WaitForAllAsync(Site site, CountingTarget target, int upTo, int lostMax)
    {
        await site.WaitForAsync("the backlog", async () =>
        {
            List<(JsonElement Metric, List<(double Time, double Value)> Samples)> first = await site.Api.RawAsync("ledger_value{i=\"0\"}", "30m");
            return first.Count == 1 && Missing(target, upTo, Scrapes(first[0].Samples, 0)).Length <= lostMax + await FailedScrapesAsync(site);
        });
        await CompareAsync(site, target, upTo, lostMax);
    }

    /// <summary>
    /// Every stored sample is one that the target answered, each answer is stored at one time only, and none is missing up to <paramref name="upTo"/>: but for
    /// <paramref name="lostMax"/> that may be lost (the answer that was in flight at a kill of the agent, which nobody can have kept), and those that came too late for the
    /// scrape's time-out, which <c>up</c> tells.
    /// </summary>
    public static async Task CompareAsync(Site site, CountingTarget target, int upTo, int lostMax)
    {
        List<(JsonElement Metric, List<(double Time, double Value)> Samples)> stored = await site.Api.RawAsync("ledger_value", "30m");
        int failed = await FailedScrapesAsync(site);
        // Taken after the query: the target goes on answering. The answer that it is just completing may be stored already.
        HashSet<int> answered = [.. target.Answered];
        answered.Add(answered.Max() + 1);
        Assert.Equal(target.Series, stored.Count);
        foreach ((JsonElement metric, List<(double Time, double Value)> samples) in stored)
        {
            int i = int.Parse(metric.GetProperty("i").GetString()!, CultureInfo.InvariantCulture);
            List<int> scrapes = Scrapes(samples, i);
            Assert.All(samples, s => Assert.Equal(i, s.Value % 1000));
            Assert.Equal(scrapes.Count, scrapes.Distinct().Count());
            Assert.All(scrapes, n => Assert.Contains(n, answered));
            int[] missing = Missing(target, upTo, scrapes);
            Assert.True(missing.Length <= lostMax + failed, $"series {i}: scrapes {string.Join(", ", missing)} were answered and are not in the store ({failed} scrapes failed)");
        }
    }

    private static List<int> Scrapes(List<(double Time, double Value)> samples, int i) => [.. samples.Select(s => (int)((s.Value - i) / 1000))];

    private static int[] Missing(CountingTarget target, int upTo, List<int> scrapes) => [.. target.Answered.Where(n => n <= upTo).Except(scrapes).Order()];

    private static async Task<int> FailedScrapesAsync(Site site) =>
        (await site.Api.RawAsync("up{job=\"ledger\"}", "30m")).Sum(s => s.Samples.Count(p => p.Value == 0));
}
