namespace Bellwether.Prove;

/// <summary>What became of every sample that the targets answered; all counts are samples unless their name says scrapes.</summary>
internal sealed class Balance
{
    /// <summary>Samples of the bodies that were answered in full.</summary>
    public long Produced { get; set; }

    /// <summary>Bodies that were answered in full.</summary>
    public long Scrapes { get; set; }

    /// <summary>Of these: on their way into the spool when the agent was killed. Nobody can have kept them.</summary>
    public long InFlight { get; set; }

    /// <summary>The longest between such an answer and its kill, in ms.</summary>
    public long InFlightOldestMs { get; set; }

    /// <summary>Answered, but too late for the scrape: the agent says so by up = 0.</summary>
    public long Failed { get; set; }

    /// <summary>Stored once, with the right value.</summary>
    public long Stored { get; set; }

    /// <summary>Still in the agents' spools.</summary>
    public long Buffered { get; set; }

    /// <summary>Dropped by the agents, by the reason that they give.</summary>
    public SortedDictionary<string, long> Dropped { get; } = new(StringComparer.Ordinal);

    /// <summary>Stored more than once.</summary>
    public long Doubled { get; set; }

    /// <summary>Stored with a value that no target answered for this series.</summary>
    public long Wrong { get; set; }

    /// <summary>Stored at a time before that of an earlier scrape.</summary>
    public long OutOfOrder { get; set; }

    /// <summary>Ticks that were due while the agent was dead or stopped: gaps.</summary>
    public long NotScraped { get; set; }

    /// <summary>What the agents say of the same, over all their restarts.</summary>
    public AgentsLedger Agents { get; set; } = new();

    /// <summary>The first few samples that are missing without a reason, in words.</summary>
    public List<string> Examples { get; } = [];

    /// <summary>Scraped and neither stored, buffered nor counted as dropped.</summary>
    public long Missing => Produced - InFlight - Failed - Stored - Buffered - Dropped.Values.Sum();

    /// <summary>0 when everything is accounted for and right, by the targets' ledgers and by the agents' own.</summary>
    public long Difference => Math.Abs(Missing) + Doubled + Wrong + OutOfOrder + Math.Abs(Agents.Difference);
}
