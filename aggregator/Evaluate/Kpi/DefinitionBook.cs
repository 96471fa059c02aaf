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
    private readonly KpiJournal _journal;
    private readonly ILogger _log;
    private readonly Dictionary<string, List<KpiVersion>> _versions = new(StringComparer.Ordinal);
    private readonly List<KpiVersion> _unwritten = [];

    /// <summary>Opens the record of versions. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public DefinitionBook(IDisk disk, string folder, TimeProvider time, Random random, ILogger log)
    {
        _log = log;
        _journal = new KpiJournal(disk, folder, time, random);
        foreach (KpiVersion version in _journal.Found)
            VersionsOf(version.Name).Add(version);
    }

    /// <summary>Takes the definitions that are in force now; one that makes other numbers than before is a new version, one that is gone ends.</summary>
    /// <param name="all">The definitions, without number and time.</param>
    /// <param name="fromMs">The first step that they make, Unix ms.</param>
    public void Apply(IReadOnlyCollection<KpiVersion> all, long fromMs)
    {
        lock (_gate)
        {
            foreach (KpiVersion version in all)
                Note(version with { Hash = Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(version, KpiVersionJson.Default.KpiVersion))) }, fromMs);
            HashSet<string> there = [.. all.Select(v => v.Name)];
            foreach (List<KpiVersion> gone in _versions.Values.Where(v => v.Count > 0 && !v[^1].IsEnd && !there.Contains(v[^1].Name)))
                Note(new KpiVersion { Name = gone[^1].Name, IsEnd = true }, fromMs);
            if (_unwritten.Count == 0)
                return;
            if (_journal.Write(_unwritten))
                _unwritten.Clear();
            else
                NotWritten(_log, _unwritten.Count);
        }
    }

    /// <summary>All versions of a definition, the oldest first; also of one that is no more.</summary>
    public IReadOnlyList<KpiVersion> Versions(string name)
    {
        lock (_gate)
            return _versions.TryGetValue(name, out List<KpiVersion>? all) ? [.. all] : [];
    }

    /// <inheritdoc/>
    public void Dispose() => _journal.Dispose();

    private void Note(KpiVersion version, long fromMs)
    {
        List<KpiVersion> all = VersionsOf(version.Name);
        if (all.Count > 0 && all[^1].Hash == version.Hash && all[^1].IsEnd == version.IsEnd)
            return;
        KpiVersion numbered = version with { Number = all.Count == 0 ? 1 : all[^1].Number + 1, FromMs = all.Count == 0 ? fromMs : Math.Max(fromMs, all[^1].FromMs) };
        all.Add(numbered);
        _unwritten.Add(numbered);
        if (all.Count > KpiLimits.VersionsMax)
            all.RemoveAt(0);
    }

    private List<KpiVersion> VersionsOf(string name)
    {
        if (!_versions.TryGetValue(name, out List<KpiVersion>? all))
            _versions.Add(name, all = []);
        return all;
    }

    [LoggerMessage(EventId = 3203, Level = LogLevel.Warning, Message = "{Count} versions of objectives cannot be written now; they count, and are written with the next change")]
    private static partial void NotWritten(ILogger log, int count);
}
