using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Serve.QueryApi;
using Bellwether.Store;

namespace Bellwether.Aggregator.Run;

/// <summary>Deleting and copying the store over HTTP, one at a time. Thread-safe.</summary>
internal sealed class StoreAdmin(StoreWriter store, string dataDir, TimeProvider time) : IStoreAdmin
{
    private int _isBusy;

    public async Task<string> DeleteAsync(IReadOnlyList<IReadOnlyList<LabelMatcher>> selectors, long fromMs, long toMs, CancellationToken cancellation)
    {
        Enter();
        try
        {
            DeletionResult result = await store.DeleteAsync(new SeriesDeletion(selectors, fromMs, toMs), cancellation);
            return result.FailedFiles == 0 ? "" : $"{result.FailedFiles} damaged chunk files hold such series and could not be written anew; the log names them";
        }
        finally
        {
            Volatile.Write(ref _isBusy, 0);
        }
    }

    public async Task<string> SnapshotAsync(CancellationToken cancellation)
    {
        Enter();
        try
        {
            // Prometheus' form: the time to the ms and something that tells two of one ms apart; here only one is made at a time.
            string name = time.GetUtcNow().UtcDateTime.ToString("yyyyMMdd'T'HHmmss.fff'Z'", CultureInfo.InvariantCulture);
            await store.SnapshotAsync(Path.Combine(dataDir, "snapshots", name), cancellation);
            return name;
        }
        finally
        {
            Volatile.Write(ref _isBusy, 0);
        }
    }

    private void Enter()
    {
        if (Interlocked.Exchange(ref _isBusy, 1) != 0)
            throw new IOException("a deletion or snapshot is running already; ask again when it is done");
    }
}
