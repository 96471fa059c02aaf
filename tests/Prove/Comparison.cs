using System.Globalization;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>Compares series by series what the targets' ledgers say with what is stored, and gives each body that is not there its reason, if there is one.</summary>
internal sealed class Comparison(LedgerTargets targets, StoreReader store, ProveOptions options, IReadOnlyList<Dealt> dealt)
{
    /// <summary>The longest that an answer may be on its way into the spool when the agent is killed: a sync of a busy disk takes a while, and what comes meanwhile waits for the next.</summary>
    private const long InFlightMaxMs = 2000;

    /// <summary>up, scrape_duration_seconds and their like.</summary>
    private const int SamplesOfAScrape = 5;

    private const int ExamplesMax = 10;
    private const long SamplesPerQuery = 200_000;

    /// <summary>The whole comparison.</summary>
    public async Task<Balance> RunAsync(AgentsLedger agents, long fromMs, long nowMs, Action<int> progress, CancellationToken cancel)
    {
        var balance = new Balance();
        foreach (LedgerTarget target in targets.All)
        {
            await CompareAsync(target, balance, fromMs, nowMs, cancel);
            progress(target.Index + 1);
        }
        // By tick: a tick that is dropped takes the scrape's own samples with it.
        foreach ((string reason, long samples) in agents.Dropped)
            balance.Dropped[reason] = samples * targets.Series / (targets.Series + SamplesOfAScrape);
        balance.Buffered = agents.Buffered * targets.Series / (targets.Series + SamplesOfAScrape);
        balance.Agents = agents;
        return balance;
    }

    /// <summary>Whether every scrape's first series is stored, or has a reason not to be: a quick look while the backlog arrives.</summary>
    public async Task<int> MissingScrapesAsync(long fromMs, long nowMs, CancellationToken cancel)
    {
        int missing = 0;
        foreach (LedgerTarget target in targets.All)
        {
            Reasons reasons = await ReasonsAsync(target, fromMs, nowMs, cancel);
            missing += target.Entries.Count(e => e.CompletedMs > 0 && !reasons.IsStored(e) && reasons.Of(e) == Reason.None);
        }
        return missing;
    }

    private async Task CompareAsync(LedgerTarget target, Balance balance, long fromMs, long nowMs, CancellationToken cancel)
    {
        LedgerEntry[] entries = target.Entries;
        if (entries.Length == 0)
            return;
        // By scrape: how many of its series are stored.
        int[] stored = new int[entries.Length + 1];
        int chunk = (int)Math.Clamp(SamplesPerQuery / Math.Max(1, entries.Length), 1, 200);
        for (int first = 0; first < targets.Series; first += chunk)
        {
            string numbers = string.Join('|', Enumerable.Range(first, Math.Min(chunk, targets.Series - first)));
            List<StoredSeries> series = await store.RawAsync($"ledger_value{{instance=\"{target.Address}\",i=~\"{numbers}\"}}", fromMs, nowMs, cancel);
            foreach (StoredSeries one in series)
                Count(target, one, stored, balance);
        }
        Reasons reasons = await ReasonsAsync(target, fromMs, nowMs, cancel);
        foreach (LedgerEntry entry in entries)
        {
            int there = stored[entry.Scrape];
            balance.Stored += there;
            if (entry.CompletedMs == 0 && there == 0)
                continue;
            balance.Produced += targets.Series;
            balance.Scrapes++;
            if (there == targets.Series)
                continue;
            Reason reason = there == 0 ? reasons.Of(entry) : Reason.None;
            if (reason == Reason.InFlight)
            {
                balance.InFlight += targets.Series;
                balance.InFlightOldestMs = Math.Max(balance.InFlightOldestMs, reasons.BeforeKillMs(entry));
            }
            else if (reason == Reason.Failed)
                balance.Failed += targets.Series;
            else if (balance.Examples.Count < ExamplesMax)
                balance.Examples.Add(string.Create(CultureInfo.InvariantCulture,
                    $"agent-{ProveSite.AgentOf(target, options)}, target {target.Address}: {targets.Series - there} samples of scrape {entry.Scrape} of {entries.Length}, asked {Clock(entry.BeganMs)}, answered {Clock(entry.CompletedMs)}; {reasons.Around(entry)}"));
        }
        long due = (long)((entries[^1].BeganMs - entries[0].BeganMs) / options.Interval.TotalMilliseconds) + 1;
        balance.NotScraped += Math.Max(0, due - entries.Length);
    }

    private static void Count(LedgerTarget target, StoredSeries series, int[] stored, Balance balance)
    {
        int index = int.Parse(series.Labels["i"], CultureInfo.InvariantCulture);
        int before = 0;
        var seen = new HashSet<int>(series.Samples.Length);
        foreach ((_, double value) in series.Samples)
        {
            if (LedgerTargets.Read(value) is not { } read || read.Target != target.Index || read.Series != index || read.Scrape < 1 || read.Scrape >= stored.Length)
            {
                balance.Wrong++;
                continue;
            }
            if (!seen.Add(read.Scrape))
            {
                balance.Doubled++;
                continue;
            }
            if (read.Scrape < before)
                balance.OutOfOrder++;
            before = Math.Max(before, read.Scrape);
            stored[read.Scrape]++;
        }
    }

    private async Task<Reasons> ReasonsAsync(LedgerTarget target, long fromMs, long nowMs, CancellationToken cancel)
    {
        var tickOf = new Dictionary<int, long>();
        foreach (StoredSeries first in await store.RawAsync($"ledger_value{{instance=\"{target.Address}\",i=\"0\"}}", fromMs, nowMs, cancel))
        {
            foreach ((long timeMs, double value) in first.Samples)
                tickOf[LedgerTargets.Read(value)?.Scrape ?? 0] = timeMs;
        }
        List<StoredSeries> up = await store.RawAsync($"up{{instance=\"{target.Address}\",bellwether_synthesised=\"\"}}", fromMs, nowMs, cancel);
        (long TimeMs, double Value)[] health = [.. up.SelectMany(s => s.Samples).OrderBy(s => s.TimeMs)];
        int agent = ProveSite.AgentOf(target, options);
        long[] killsMs = [.. dealt.Where(d => d.Agent == agent && d.Blow == Blow.Kill).Select(d => d.FromMs).Order()];
        return new Reasons(target.Entries, tickOf, health, killsMs);
    }

    private static string Clock(long ms) => DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("HH:mm:ss.fff", CultureInfo.InvariantCulture);

    private enum Reason
    {
        None,
        InFlight,
        Failed,
    }

    /// <summary>Why a body may not be there: it was answered just before a kill of its agent, and nothing between the two is stored; or the agent says that this scrape failed.</summary>
    private sealed class Reasons(LedgerEntry[] entries, Dictionary<int, long> tickOf, (long TimeMs, double Value)[] health, long[] killsMs)
    {
        public Reason Of(LedgerEntry entry)
        {
            if (IsInFlight(entry))
                return Reason.InFlight;
            // Between the neighbours that are stored there may be as many bodies without a trace as there are ticks that failed by the agent's own word.
            int first = entry.Scrape, last = entry.Scrape;
            while (first > 1 && !tickOf.ContainsKey(first - 1))
                first--;
            while (last < entries.Length && !tickOf.ContainsKey(last + 1))
                last++;
            long fromMs = first > 1 ? tickOf[first - 1] : long.MinValue;
            long toMs = last < entries.Length ? tickOf[last + 1] : long.MaxValue;
            int failed = health.Count(h => h.Value == 0 && h.TimeMs > fromMs && h.TimeMs < toMs);
            int before = 0;
            for (int scrape = first; scrape < entry.Scrape; scrape++)
            {
                if (entries[scrape - 1].CompletedMs > 0 && !IsInFlight(entries[scrape - 1]))
                    before++;
            }
            return before < failed ? Reason.Failed : Reason.None;
        }

        public bool IsStored(LedgerEntry entry) => tickOf.ContainsKey(entry.Scrape);

        private bool IsInFlight(LedgerEntry entry) => BeforeKillMs(entry) is >= 0 and <= InFlightMaxMs;

        /// <summary>What the agent says of its scrapes around an entry.</summary>
        public string Around(LedgerEntry entry) =>
            "up: " + string.Join(", ", health.Where(h => Math.Abs(h.TimeMs - entry.BeganMs) < 4000).Select(h => $"{h.Value} at {Clock(h.TimeMs)}"));

        /// <summary>The time from a body's answer to the kill that followed it before anything asked later was stored (0: the kill came while it was answered); -1: none did.</summary>
        public long BeforeKillMs(LedgerEntry entry)
        {
            int next = entry.Scrape + 1;
            while (next <= entries.Length && !tickOf.ContainsKey(next))
                next++;
            long nextMs = next <= entries.Length ? entries[next - 1].BeganMs : long.MaxValue;
            foreach (long kill in killsMs)
            {
                if (kill >= entry.BeganMs && kill <= nextMs)
                    return Math.Max(0, kill - entry.CompletedMs);
            }
            return -1;
        }
    }
}
