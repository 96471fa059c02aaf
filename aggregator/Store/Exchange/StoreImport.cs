using Bellwether.Core.Model;

namespace Bellwether.Store.Exchange;

/// <summary>What became of an import.</summary>
public sealed record ImportResult
{
    /// <summary>Samples that were read.</summary>
    public long Samples { get; internal set; }

    /// <summary>Of these new in memory; what chunk files hold already counts here, too, and stands once.</summary>
    public long Stored { get; internal set; }

    /// <summary>Of these there already.</summary>
    public long Duplicates { get; internal set; }

    /// <summary>Of these another value was there: the larger stands, as for late data of every kind.</summary>
    public long Conflicts { get; internal set; }

    /// <summary>Of these older than retention.</summary>
    public long TooOld { get; internal set; }

    /// <summary>Of these refused for another reason (limits, time ahead of the clock, labels).</summary>
    public long Refused { get; internal set; }

    /// <summary>The first refusal in words, or null.</summary>
    public string? FirstError { get; internal set; }
}

/// <summary>Brings a source into a store by the normal way of writing: bounded memory, each batch durable before the next, idempotent, resumable by an <see cref="ImportLedger"/>.</summary>
public static class StoreImport
{
    private const int BatchesPerNote = 64;

    /// <summary>
    /// Imports what a source still has. Throws <see cref="InvalidDataException"/> when the source cannot be read on, <see cref="StoreUnavailableException"/> when the store takes nothing;
    /// what came before is imported and noted.
    /// </summary>
    /// <param name="source">What to import.</param>
    /// <param name="append">Makes a batch durable.</param>
    /// <param name="ledger">Where to note how far it is; null: nowhere.</param>
    /// <param name="result">Counts.</param>
    /// <param name="progress">Bytes done, of how many.</param>
    /// <param name="cancellation">Ends it between batches.</param>
    public static async Task RunAsync(IImportSource source, Func<SampleBatch, CancellationToken, Task<AppendResult>> append, ImportLedger? ledger, ImportResult result, Action<long, long> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(append);
        ArgumentNullException.ThrowIfNull(result);
        ArgumentNullException.ThrowIfNull(progress);
        string durable = source.Position;
        int batches = 0;
        try
        {
            var batch = new SampleBatch();
            while (source.Next(batch))
            {
                cancellation.ThrowIfCancellationRequested();
                Count(result, batch.Samples.Count, await append(batch, cancellation).ConfigureAwait(false));
                durable = source.Position;
                progress(source.Progress.Done, source.Progress.Of);
                if (++batches % BatchesPerNote == 0)
                    ledger?.Note(source.Key, durable);
                batch = new SampleBatch();
            }
            durable = ImportLedger.Done;
        }
        finally
        {
            ledger?.Note(source.Key, durable);
        }
    }

    private static void Count(ImportResult result, int samples, AppendResult appended)
    {
        result.Samples += samples;
        result.Stored += appended[AppendOutcome.Stored];
        result.Duplicates += appended[AppendOutcome.Duplicate];
        result.Conflicts += appended[AppendOutcome.Conflict];
        result.TooOld += appended[AppendOutcome.TooOld];
        result.Refused += appended.Refused - appended[AppendOutcome.TooOld];
        result.FirstError ??= appended.FirstError;
    }
}
