using Bellwether.Core.Codec;

namespace Bellwether.Agent.Collect;

/// <summary>
/// One source of samples. The agent's scheduler calls it once per interval, never twice at a time, and hands the filled tick to the spool. A collector never throws for
/// what its surroundings do (a missing file, a refused connection): it says so in its own series (<c>up</c>, <c>pg_up</c>, <c>node_scrape_collector_success</c>).
/// </summary>
public interface ICollector : IAsyncDisposable
{
    /// <summary>The source's name, unique in the agent and stable over restarts.</summary>
    string Name { get; }

    /// <summary>How often it is due.</summary>
    TimeSpan Interval { get; }

    /// <summary>
    /// Collects one tick: calls <see cref="SourceTick.Begin"/> with its current table and <paramref name="timestampMs"/>, sets what it found, and
    /// <see cref="SourceTick.Complete"/>. The tick is the same object each time.
    /// </summary>
    /// <param name="tick">To be filled.</param>
    /// <param name="timestampMs">The time due, Unix ms: the time of the samples.</param>
    /// <param name="cancellation">Ends the collection early (stop of the agent).</param>
    ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation);

    /// <summary>Fills a last tick in which every series ends: the source is gone for good (removed by a reload or by discovery).</summary>
    void End(SourceTick tick, long timestampMs);
}
