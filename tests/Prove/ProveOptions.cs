namespace Bellwether.Prove;

/// <summary>How large a run is and what happens in it.</summary>
internal sealed record ProveOptions
{
    /// <summary>How long faults go on; quiet and comparison come after.</summary>
    public TimeSpan Length { get; init; } = TimeSpan.FromMinutes(3);

    /// <summary>Seed of times, victims and waits.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Agents.</summary>
    public int Agents { get; init; } = 3;

    /// <summary>Targets of each agent.</summary>
    public int TargetsPerAgent { get; init; } = 2;

    /// <summary>Series of each target.</summary>
    public int Series { get; init; } = 1000;

    /// <summary>Scrape interval and time-out.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>kill -9 of agents, and as many of the aggregator; null: a hundred an hour.</summary>
    public int? Kills { get; init; }

    /// <summary>How long the aggregator is away at a stretch; null: a third of the run.</summary>
    public TimeSpan? Outage { get; init; }

    /// <summary>Faults of the operating system, one after the other, instead of kills and the outage; 0: kills and the outage.</summary>
    public int Faults { get; init; }

    /// <summary>Only faults whose name holds this; null: all.</summary>
    public string? Only { get; init; }

    /// <summary>How long a fault lasts.</summary>
    public TimeSpan FaultLength { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Kills of both sides at once.</summary>
    public int KillsOfBoth { get; init; }

    /// <summary>kill -9 of the aggregator; null: as many as of agents.</summary>
    public int? KillsOfAggregator { get; init; }

    /// <summary>Whether the programs' last lines are told at the end.</summary>
    public bool Verbose { get; init; }

    /// <summary>SIGSTOPs of each side.</summary>
    public int Stops { get; init; } = 2;

    /// <summary>Orderly restarts of each side.</summary>
    public int Restarts { get; init; } = 2;

    /// <summary>The longest that a killed program stays away.</summary>
    public TimeSpan AwayMax { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The longest that a stopped (SIGSTOP) program stays so.</summary>
    public TimeSpan StopMax { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The agent without a network, whose records are carried by bundle; null: none (it takes two agents, and faults look at fresh samples of all).</summary>
    public int? CarriedAgent => Agents > 1 && Faults == 0 ? Agents - 1 : null;

    /// <summary>How many kills of agents.</summary>
    public int KillsOfAgents => Kills ?? Math.Max(1, (int)Math.Round(100 * Length.TotalHours));

    /// <summary>How many kills of the aggregator.</summary>
    public int KillsOfTheAggregator => KillsOfAggregator ?? KillsOfAgents;

    /// <summary>How long the aggregator is away at a stretch.</summary>
    public TimeSpan OutageLength => Outage ?? Length / 3;
}
