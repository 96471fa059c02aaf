using System.Globalization;

namespace Bellwether.Prove;

/// <summary>The balance as a table.</summary>
internal static class BalanceText
{
    /// <summary>Tells it line by line; the last one is 'difference: N'.</summary>
    public static void Tell(this Balance balance, Action<string> tell, Chaos chaos)
    {
        tell("");
        tell($"kill -9           agents {chaos.Count(true, Blow.Kill)}, aggregator {chaos.Count(false, Blow.Kill, Blow.KillBoth, Blow.Outage)}");
        tell($"SIGSTOP           agents {chaos.Count(true, Blow.Stop)}, aggregator {chaos.Count(false, Blow.Stop)}");
        tell($"restarts          agents {chaos.Count(true, Blow.Restart)}, aggregator {chaos.Count(false, Blow.Restart)}");
        foreach (Dealt outage in chaos.AllDealt.Where(d => d.Blow == Blow.Outage))
            tell(string.Create(CultureInfo.InvariantCulture, $"outage            {(outage.ToMs - outage.FromMs) / 1000.0:F0} s without an aggregator"));
        tell("");
        Row("produced", balance.Produced, $"{balance.Scrapes:N0} bodies that targets answered in full");
        Row("in flight", balance.InFlight, $"answers under way into the spool when their agent was killed; the oldest {balance.InFlightOldestMs} ms before");
        Row("too late", balance.Failed, "answers after the scrape's time-out, told by up = 0");
        Row("stored", balance.Stored, "once, with the value that was answered");
        Row("buffered", balance.Buffered, "in the agents' spools");
        Row("dropped", balance.Dropped.Values.Sum(), balance.Dropped.Count == 0 ? "" : string.Join(", ", balance.Dropped.Select(d => $"{d.Key} {d.Value:N0}")));
        Row("missing", balance.Missing, "produced - in flight - too late - stored - buffered - dropped");
        Row("doubled", balance.Doubled, "");
        Row("wrong", balance.Wrong, "");
        Row("out of order", balance.OutOfOrder, "");
        tell(string.Create(CultureInfo.InvariantCulture, $"not scraped       {balance.NotScraped,14:N0}  scrapes that were due while the agent was dead or stopped: gaps"));
        AgentsLedger agents = balance.Agents;
        tell(string.Create(CultureInfo.InvariantCulture, $"agents' own words {agents.Produced,14:N0}  produced (up and its like included) = {agents.Stored:N0} stored + {agents.Buffered:N0} buffered + {agents.Dropped.Values.Sum():N0} dropped + {agents.Difference:N0} unexplained"));
        foreach (string example in balance.Examples)
            tell("missing: " + example);
        tell($"difference: {balance.Difference}");

        void Row(string name, long samples, string note) =>
            tell(string.Create(CultureInfo.InvariantCulture, $"{name,-18}{samples,14:N0}  {note}").TrimEnd());
    }
}
