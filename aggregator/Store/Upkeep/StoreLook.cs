using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Microsoft.Extensions.Logging;

namespace Bellwether.Store.Upkeep;

/// <summary>A stopped store, or a copy of one, opened to be read. Nothing in its folder is changed. See <see cref="OverlayDisk"/>.</summary>
public sealed class StoreLook : IDisposable
{
    private static readonly TimeSpan s_everything = TimeSpan.FromDays(365 * 200);
    private readonly Meter _meter = new("bellwether-store-look");
    private readonly StoreEngine _engine;

    private StoreLook(IDisk disk, string folder, TimeProvider time, Random random, ILogger log)
    {
        StoreVerifier.ThrowIfNoStore(disk, folder);
        _engine = StoreEngine.Open(new StoreOptions { Folder = folder, Retention = s_everything, MinFreeBytes = 0, MaxSeries = int.MaxValue, MaxSeriesPerJob = int.MaxValue, MaxSeriesPerAgent = int.MaxValue }, new OverlayDisk(disk), time, random, _meter, log);
    }

    /// <summary>Its series. Thread-safe.</summary>
    public ISeriesReader Reader => _engine.Reader;

    /// <summary>What opening found.</summary>
    public OpenReport Opened => _engine.Opened;

    /// <summary>Reads that met damage so far: what they would have read is left out.</summary>
    public long DamagedReads => _engine.Blocks.DamagedReads;

    /// <summary>Oldest and newest time of any sample, Unix ms; null: there is none.</summary>
    public (long OldestMs, long NewestMs)? Bounds
    {
        get
        {
            StoreStatistics head = _engine.Statistics(0);
            (long Oldest, long Newest) bounds = head.MaxTimeMs == 0 ? (long.MaxValue, long.MinValue) : (head.MinTimeMs, head.MaxTimeMs);
            foreach (Blocks.BlockFile file in _engine.Blocks.Files)
                bounds = (Math.Min(bounds.Oldest, file.Footer.MinMs), Math.Max(bounds.Newest, file.Footer.MaxMs));
            return bounds.Oldest <= bounds.Newest ? bounds : null;
        }
    }

    /// <summary>Opens a folder. Throws <see cref="IOException"/> when a running process holds it, when it cannot be read, or when it is not a store's.</summary>
    public static StoreLook Open(IDisk disk, string folder, TimeProvider time, Random random, ILogger log) => new(disk, folder, time, random, log);

    /// <inheritdoc/>
    public void Dispose()
    {
        _engine.Dispose();
        _meter.Dispose();
    }
}
