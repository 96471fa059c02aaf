using Bellwether.Agent.Stream;
using Bellwether.Ingest;
using Bellwether.Store;

namespace Bellwether.Simulation;

/// <summary>One connection: an ordered stream of bytes each way, that can be cut at any byte, stall one way, or live on at one end after the other has given it up.</summary>
internal sealed class Link
{
    public required SimulatedAgent From { get; init; }

    /// <summary>Null when the agent's end is gone.</summary>
    public StreamSession? Agent { get; set; }

    /// <summary>Null when the aggregator's end is gone.</summary>
    public IngestSession? Server { get; set; }

    public Queue<(byte[] Bytes, long AtMs)> Up { get; } = new();

    public Queue<(byte[] Bytes, long AtMs)> Down { get; } = new();

    public Queue<(HandedRun Handed, RunResult Result)> Done { get; } = new();

    public long UpStalledUntilMs { get; set; }

    public long DownStalledUntilMs { get; set; }

    /// <summary>A newer session took its place: what had been read before may still be handed to the store, nothing goes back.</summary>
    public bool IsReplaced { get; set; }

    public int MayStillBeRead { get; set; }

    public long WakeAtMs { get; set; }
}
