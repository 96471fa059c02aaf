using System.Globalization;
using System.Text.Json;

namespace Bellwether.Samples.Demo;

/// <summary><c>--late</c>: the agent is cut off for a while and comes back; what was told in between is corrected, and stays readable.</summary>
internal sealed class LateStory(DemoSite site, TimeProvider time, TextWriter output)
{
    private const string Kpi = "kpi:orders:per_minute";
    private const string Budget = "slo:period_error_budget_remaining:ratio";
    private const string BudgetOf = Budget + "{slo_id=\"shop-availability\"}";
    private static readonly TimeSpan s_before = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_away = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(240);
    private int _passed;
    private int _failed;

    /// <summary>Tells it, and checks it. True: all was as it should be.</summary>
    public async Task<bool> RunAsync(CancellationToken cancellation)
    {
        await output.WriteLineAsync($"late: the agent works for {s_before.TotalSeconds:F0} s more");
        await Task.Delay(s_before, time, cancellation);
        site.Line!.Cut();
        double cut = Now();
        await output.WriteLineAsync($"late: its line to the aggregator is cut for {s_away.TotalSeconds:F0} s; it goes on collecting, into its spool");
        await Task.Delay(s_away, time, cancellation);
        double[] times = [cut + 15, cut + 25, cut + 35, cut + 40];
        // On a busy machine the rules may be some seconds behind: what is told of a time is what they made of that time.
        foreach (string record in new[] { Kpi, BudgetOf })
            await site.WaitAsync("the rules' turn", async () => await site.Api.ValueAsync($"timestamp({record})", cancellation, times[^1]) >= times[^1], s_limit, cancellation);
        var told = new List<(double Time, double? Kpi, double? Budget)>();
        foreach (double at in times)
            told.Add((at, await site.Api.ValueAsync(Kpi, cancellation, at), await site.Api.ValueAsync(BudgetOf, cancellation, at)));
        site.Line.Mend();
        await output.WriteLineAsync("late: the line is mended; what the spool holds is late data");
        string path = FormattableString.Invariant($"start={cut:F0}&end={cut + 40:F0}&step=1s");
        JsonElement slo = default;
        await site.WaitAsync("the results to be corrected", async () =>
        {
            slo = await site.Api.GetAsync($"/api/v1/slos/shop-availability?{path}", cancellation);
            return Corrections(slo).Any(c => At(c) >= cut + 39) && await IsHealedAsync(times, cancellation);
        }, s_limit, cancellation);
        foreach ((double at, double? kpi, double? budget) in told)
        {
            double? newKpi = await site.Api.ValueAsync(Kpi, cancellation, at), newBudget = await site.Api.ValueAsync(BudgetOf, cancellation, at);
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"      {DateTimeOffset.FromUnixTimeSeconds((long)at):HH:mm:ss}  orders per minute {kpi:F2} -> {newKpi:F2}    error budget left {budget:P4} -> {newBudget:P4}"));
        }
        await CheckAsync("what is stored is what on-time arrival would have given, to the bit", () => site.WaitAsync("a KPI to be what its expression gives now", () => IsHealedAsync(times, cancellation), s_limit, cancellation));
        await CheckAsync("the history of KPI and objective changed", async () =>
        {
            foreach ((double at, double? kpi, double? budget) in told.TakeLast(1))
                Expect(kpi != await site.Api.ValueAsync(Kpi, cancellation, at) && budget != await site.Api.ValueAsync(BudgetOf, cancellation, at), $"at {at} nothing changed");
        });
        await CheckAsync("what was told before stays readable", async () =>
        {
            foreach ((double at, double? kpi, double? budget) in told)
            {
                Expect(kpi == await site.Api.ValueAsync($"{Kpi}{{__revision__=\"\"}}", cancellation, at), $"the first value of {Kpi} at {at} is not {kpi}");
                Expect(budget == await site.Api.ValueAsync(BudgetOf.Replace("}", ",__revision__=\"\"}", StringComparison.Ordinal), cancellation, at), $"the first value of the budget at {at} is not {budget}");
            }
        });
        await CheckAsync("the objective's history names the earlier value and the reason", async () =>
        {
            JsonElement last = Corrections(slo).Last(c => At(c) <= times[^1]);
            Expect(last.GetProperty("values").GetArrayLength() >= 2 && last.GetProperty("heals").GetArrayLength() >= 1, $"{last}");
            ulong id = last.GetProperty("heals")[0].GetUInt64();
            JsonElement heal = (await site.Api.GetAsync($"/api/v1/heals?metric={Budget}", cancellation)).GetProperty("heals").EnumerateArray().First(h => h.GetProperty("id").GetUInt64() == id);
            Expect(heal.GetProperty("reason").GetString() == "late data of agent demo-agent", $"the reason is {heal.GetProperty("reason")}");
        });
        await output.WriteLineAsync($"late: {_passed} checks passed, {_failed} failed");
        return _failed == 0;
    }

    /// <summary>Whether the KPI rules' results of some times are what their expressions give now.</summary>
    private async Task<bool> IsHealedAsync(double[] times, CancellationToken cancellation)
    {
        JsonElement groups = (await site.Api.GetAsync("/api/v1/rules?type=record", cancellation)).GetProperty("data").GetProperty("groups");
        foreach (JsonElement rule in groups.EnumerateArray().Where(g => g.GetProperty("name").GetString() == "shop-kpis").SelectMany(g => g.GetProperty("rules").EnumerateArray()))
        {
            foreach (double at in times)
            {
                double? kept = await site.Api.ValueAsync(rule.GetProperty("name").GetString()!, cancellation, at), asked = await site.Api.ValueAsync(rule.GetProperty("query").GetString()!, cancellation, at);
                if (kept is null || asked is null || BitConverter.DoubleToInt64Bits(kept.Value) != BitConverter.DoubleToInt64Bits(asked.Value))
                    return false;
            }
        }
        return true;
    }

    private static JsonElement.ArrayEnumerator Corrections(JsonElement answer) => answer.GetProperty("corrections").EnumerateArray();

    private static double At(JsonElement correction) => correction.GetProperty("time").GetDateTimeOffset().ToUnixTimeMilliseconds() / 1000.0;

    private double Now() => Math.Floor(time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);

    private async Task CheckAsync(string what, Func<Task> body)
    {
        try
        {
            await body();
            _passed++;
            await output.WriteLineAsync($"ok    {what}");
        }
        catch (Exception e) when (DemoSite.IsNotYet(e))
        {
            _failed++;
            await output.WriteLineAsync($"FAIL  {what}: {e.Message}");
        }
    }

    private static void Expect(bool holds, string otherwise)
    {
        if (!holds)
            throw new DemoException(otherwise);
    }
}
