namespace Bellwether.Core.Model;

/// <summary>
/// Learns of every sample that a store has committed, by any way in (agents' streams, remote write, rule results): how forwarding finds new data without knowing the store.
/// The store calls it; implementations never block on a network and throw nothing for a full queue (they drop and count).
/// </summary>
public interface ISampleTap
{
    /// <summary>
    /// Commits up to this position were durable on the tap's side when it was opened; the tap takes none of them again. 0: none. The store tells what its log holds after it
    /// when it is opened, so that a crash between its own fsync and the tap's loses nothing; a commit of which the tap held a part only is told again, whole.
    /// </summary>
    ulong HeldTo { get; }

    /// <summary>
    /// One commit became durable: called after the fsync and before the acknowledgement, in commit order, by one thread at a time.
    /// </summary>
    /// <param name="position">Grows with every commit of this store and over restarts (a WAL position).</param>
    /// <param name="samples">What was newly stored (no duplicates, no refused ones), stale markers included. Valid during the call only.</param>
    /// <param name="exemplars">New exemplars of series that are known, those with a time. Valid during the call only.</param>
    /// <returns>False: nothing of it is for this tap, and <see cref="HeldTo"/> will not tell of it; the store then takes it as if nothing had been told.</returns>
    bool OnCommitted(ulong position, ReadOnlySpan<SeriesSample> samples, ReadOnlySpan<(Labels Labels, Exemplar Exemplar)> exemplars = default);
}
