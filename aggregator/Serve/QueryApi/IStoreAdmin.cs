using Bellwether.Core.Model;

namespace Bellwether.Serve.QueryApi;

/// <summary>What <c>/api/v1/admin/tsdb</c> can do to the data. Thread-safe. Both throw <see cref="IOException"/> with a reason when the disk does not take it.</summary>
public interface IStoreAdmin
{
    /// <summary>Deletes samples of a range (Unix ms, inclusive) of all series that one of the selectors matches, for good. Returns a text that tells what could not be deleted; empty: all is gone.</summary>
    Task<string> DeleteAsync(IReadOnlyList<IReadOnlyList<LabelMatcher>> selectors, long fromMs, long toMs, CancellationToken cancellation);

    /// <summary>Copies the data while it is in use; returns the copy's name in the folder <c>snapshots</c> of the store.</summary>
    Task<string> SnapshotAsync(CancellationToken cancellation);
}
