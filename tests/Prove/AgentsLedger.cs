using System.Text.Json;

namespace Bellwether.Prove;

/// <summary>What the agents themselves say of the targets' sources, as the aggregator tells it at /api/v1/completeness; samples, the scrape's own (up and its like) included.</summary>
internal sealed class AgentsLedger
{
    /// <summary>Prefix of the sources that scrape the ledger targets.</summary>
    private const string Sources = "ledger/";

    /// <summary>Made by the agents, over all their restarts.</summary>
    public long Produced { get; private set; }

    /// <summary>Stored, or refused for good.</summary>
    public long Stored { get; private set; }

    /// <summary>Still in the agents' spools.</summary>
    public long Buffered { get; private set; }

    /// <summary>Dropped, by reason.</summary>
    public SortedDictionary<string, long> Dropped { get; } = new(StringComparer.Ordinal);

    /// <summary>0 when the agents' and the aggregator's counts agree.</summary>
    public long Difference => Produced - Stored - Buffered - Dropped.Values.Sum();

    /// <summary>Reads the answer of /api/v1/completeness.</summary>
    public static AgentsLedger Read(JsonElement answer)
    {
        var ledger = new AgentsLedger();
        foreach (JsonElement agent in answer.GetProperty("data").GetProperty("agents").EnumerateArray())
        {
            foreach (JsonElement source in agent.GetProperty("sources").EnumerateArray())
            {
                if (source.GetProperty("name").GetString() is { } name && name.StartsWith(Sources, StringComparison.Ordinal))
                    ledger.Add(source);
            }
        }
        return ledger;
    }

    private void Add(JsonElement source)
    {
        Produced += Number(source, "produced");
        Buffered += Number(source, "buffered");
        JsonElement stored = source.GetProperty("stored");
        Stored += Number(stored, "samples") + Number(stored, "samplesRefused");
        foreach (JsonProperty drop in source.GetProperty("dropped").EnumerateObject())
            Dropped[drop.Name] = Dropped.GetValueOrDefault(drop.Name) + (long)drop.Value.GetDouble();
    }

    private static long Number(JsonElement of, string name) => of.GetProperty(name) is { ValueKind: JsonValueKind.Number } number ? (long)number.GetDouble() : 0;
}
