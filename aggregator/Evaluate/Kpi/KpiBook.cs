using Bellwether.Core.Platform;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Kpi;

/// <summary>The KPIs that count now, and all versions that ever counted. Thread-safe.</summary>
public sealed partial class KpiBook : IDisposable
{
    private readonly Lock _gate = new();
    private readonly KpiJournal _journal;
    private readonly ILogger _log;
    private readonly TimeSpan _defaultInterval;
    private readonly Dictionary<string, List<KpiVersion>> _versions = new(StringComparer.Ordinal);
    private readonly List<KpiVersion> _unwritten = [];
    private IReadOnlyList<KpiDefinition> _kpis = [];
    private SlaSet _slas = new();

    /// <summary>Opens the record of versions. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public KpiBook(IDisk disk, string folder, TimeSpan defaultInterval, TimeProvider time, Random random, ILogger log)
    {
        _defaultInterval = defaultInterval;
        _log = log;
        _journal = new KpiJournal(disk, folder, time, random);
        foreach (KpiVersion version in _journal.Found)
            VersionsOf(version.Name).Add(version);
        if (_journal.Unreadable > 0)
            LogUnreadable(_journal.Unreadable);
    }

    /// <summary>The KPIs, by name.</summary>
    public IReadOnlyList<KpiDefinition> Kpis => Volatile.Read(ref _kpis);

    /// <summary>The service levels that count now.</summary>
    public SlaSet Slas => Volatile.Read(ref _slas);

    /// <summary>Takes what the files say now. What makes other numbers than before is a new version.</summary>
    /// <param name="set">The files' content.</param>
    /// <param name="fromMs">The first step that a rule group makes by it, Unix ms.</param>
    public void Apply(KpiSet set, Func<RuleGroupDefinition, long> fromMs)
    {
        lock (_gate)
        {
            var groups = set.Groups.SelectMany(g => g.Rules.Select(r => (r.Name, g))).DistinctBy(p => p.Name).ToDictionary(p => p.Name, p => p.g, StringComparer.Ordinal);
            foreach (KpiDefinition kpi in set.Kpis)
                Note(KpiVersion.Of(kpi, groups[kpi.Record], _defaultInterval), fromMs(groups[kpi.Record]));
            foreach (SlaCheck check in set.Slas.Checks)
            {
                if (set.Groups.FirstOrDefault(g => g.Name == SlaCompiler.GroupName(check)) is { } group)
                    Note(KpiVersion.Of(check, group, _defaultInterval), fromMs(group));
            }
            HashSet<string> there = [.. set.Kpis.Select(k => k.Name), .. set.Slas.Checks.Select(KpiVersion.NameOf)];
            long nowMs = set.Groups.Count > 0 ? set.Groups.Max(fromMs) : _kpis.Count > 0 ? fromMs(new RuleGroupDefinition { Name = "", File = "" }) : 0;
            foreach (List<KpiVersion> gone in _versions.Values.Where(v => v.Count > 0 && !v[^1].IsEnd && !there.Contains(v[^1].Name)))
                Note(new KpiVersion { Name = gone[^1].Name, IsEnd = true }, Math.Max(nowMs, gone[^1].FromMs));
            if (_unwritten.Count > 0 && _journal.Write(_unwritten))
                _unwritten.Clear();
            else if (_unwritten.Count > 0)
                LogNotWritten(_unwritten.Count);
            Volatile.Write(ref _slas, set.Slas);
            Volatile.Write(ref _kpis, [.. set.Kpis.OrderBy(k => k.Name, StringComparer.Ordinal)]);
        }
    }

    /// <summary>A KPI that counts now, or null.</summary>
    public KpiDefinition? Find(string name) => Kpis.FirstOrDefault(k => k.Name == name);

    /// <summary>All versions of a KPI, the oldest first; also of one that is no more.</summary>
    public IReadOnlyList<KpiVersion> Versions(string name)
    {
        lock (_gate)
            return _versions.TryGetValue(name, out List<KpiVersion>? all) ? [.. all] : [];
    }

    /// <summary>The version that made the numbers of a time; null: there was none.</summary>
    public KpiVersion? VersionAt(string name, long timeMs) => Versions(name).LastOrDefault(v => v.FromMs <= timeMs) is { IsEnd: false } version ? version : null;

    /// <summary>The version that recorded a metric at a time; null: no KPI of now records it.</summary>
    public KpiVersion? Recording(string metric, long timeMs) => Kpis.FirstOrDefault(k => metric.StartsWith(k.Record, StringComparison.Ordinal) && KpiCompiler.Records(k).Contains(metric)) is { } kpi ? VersionAt(kpi.Name, timeMs) : null;

    /// <inheritdoc/>
    public void Dispose() => _journal.Dispose();

    private void Note(KpiVersion version, long fromMs)
    {
        List<KpiVersion> all = VersionsOf(version.Name);
        if (all.Count > 0 && all[^1].Hash == version.Hash && all[^1].IsEnd == version.IsEnd)
            return;
        KpiVersion numbered = version with { Number = all.Count == 0 ? 1 : all[^1].Number + 1, FromMs = all.Count == 0 ? fromMs : Math.Max(fromMs, all[^1].FromMs), Changes = all.Count == 0 ? [] : version.ChangesSince(all[^1]) };
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

    [LoggerMessage(EventId = 3201, Level = LogLevel.Warning, Message = "{Count} versions of KPIs cannot be written now; they count, and are written with the next change")]
    private partial void LogNotWritten(int count);

    [LoggerMessage(EventId = 3202, Level = LogLevel.Error, Message = "{Count} versions of KPIs cannot be read: what they made has no explanation")]
    private partial void LogUnreadable(long count);
}
