using System.Diagnostics.Metrics;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>A clock, a meter, and a folder of the real disk that goes with the test.</summary>
public abstract class StoreSite : IDisposable
{
    private protected VirtualTime Time { get; } = new();

    private protected Meter Meter { get; } = new("store-tests");

    private protected string Folder { get; } = Directory.CreateTempSubdirectory("bellwether-store").FullName;

    public void Dispose()
    {
        Meter.Dispose();
        Directory.Delete(Folder, true);
        GC.SuppressFinalize(this);
    }
}
