using System.Security.Cryptography;
using System.Text.Json;
using Bellwether.Core.Platform;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Kpi;

/// <summary>
/// The versions of definitions that are no KPIs (objectives), kept as those of KPIs are (docs/formats/kpi-versions.md): history stays explained by the rules that made it. Thread-safe.
/// </summary>
public sealed partial class DefinitionBook : IDisposable
{
    private readonly Lock _gate = new();
    private readonly VersionBook _versions;
    private readonly ILogger _log;

    /// <summary>Opens the record of versions. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public DefinitionBook(IDisk disk, string folder, TimeProvider time, Random random, ILogger log)
    {
        _log = log;
        _versions = new VersionBook(disk, folder, time, random);
    }

    /// <summary>Takes the definitions that are in force now; one that makes other numbers than before is a new version, one that is gone ends.</summary>
    /// <param name="all">The definitions, without number and time.</param>
    /// <param name="fromMs">The first step that they make, Unix ms.</param>
    public void Apply(IReadOnlyCollection<KpiVersion> all, long fromMs)
    {
        lock (_gate)
        {
            foreach (KpiVersion version in all)
                _versions.Note(version with { Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(version, KpiVersionJson.Default.KpiVersion))) }, fromMs);
            _versions.EndOthers(all.Select(v => v.Name).ToHashSet(StringComparer.Ordinal), _ => fromMs);
            if (_versions.Write() is > 0 and var unwritten)
                NotWritten(_log, unwritten);
        }
    }

    /// <summary>All versions of a definition, the oldest first; also of one that is no more.</summary>
    public IReadOnlyList<KpiVersion> Versions(string name) => _versions.Versions(name);

    /// <inheritdoc/>
    public void Dispose() => _versions.Dispose();

    [LoggerMessage(EventId = 3203, Level = LogLevel.Warning, Message = "{Count} versions of objectives cannot be written now; they count, and are written with the next change")]
    private static partial void NotWritten(ILogger log, int count);
}
