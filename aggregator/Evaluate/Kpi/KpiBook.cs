using Bellwether.Core.Platform;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Kpi;

/// <summary>The KPIs that count now, and all versions that ever counted. Thread-safe.</summary>
public sealed partial class KpiBook : IDisposable
{
    private readonly Lock _gate = new();
    private readonly VersionBook _versions;
    private readonly ILogger _log;
    private readonly TimeSpan _defaultInterval;
    private IReadOnlyList<KpiDefinition> _kpis = [];
    private SlaSet _slas = new();

    /// <summary>Opens the record of versions. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public KpiBook(IDisk disk, string folder, TimeSpan defaultInterval, TimeProvider time, Random random, ILogger log)
    {
        _defaultInterval = defaultInterval;
        _log = log;
        _versions = new VersionBook(disk, folder, time, random);
        if (_versions.Unreadable > 0)
            LogUnreadable(_versions.Unreadable);
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
                _versions.Note(KpiVersion.Of(kpi, groups[kpi.Record], _defaultInterval), fromMs(groups[kpi.Record]));
            foreach (SlaCheck check in set.Slas.Checks)
            {
                if (set.Groups.FirstOrDefault(g => g.Name == SlaCompiler.GroupName(check)) is { } group)
                    _versions.Note(KpiVersion.Of(check, group, _defaultInterval), fromMs(group));
            }
            HashSet<string> there = [.. set.Kpis.Select(k => k.Name), .. set.Slas.Checks.Select(KpiVersion.NameOf)];
            long nowMs = set.Groups.Count > 0 ? set.Groups.Max(fromMs) : _kpis.Count > 0 ? fromMs(new RuleGroupDefinition { Name = "", File = "" }) : 0;
            _versions.EndOthers(there, last => Math.Max(nowMs, last.FromMs));
            if (_versions.Write() is > 0 and var unwritten)
                LogNotWritten(unwritten);
            Volatile.Write(ref _slas, set.Slas);
            Volatile.Write(ref _kpis, [.. set.Kpis.OrderBy(k => k.Name, StringComparer.Ordinal)]);
        }
    }

    /// <summary>A KPI that counts now, or null.</summary>
    public KpiDefinition? Find(string name) => Kpis.FirstOrDefault(k => k.Name == name);

    /// <summary>All versions of a KPI, the oldest first; also of one that is no more.</summary>
    public IReadOnlyList<KpiVersion> Versions(string name) => _versions.Versions(name);

    /// <summary>The version that made the numbers of a time; null: there was none.</summary>
    public KpiVersion? VersionAt(string name, long timeMs) => Versions(name).LastOrDefault(v => v.FromMs <= timeMs) is { IsEnd: false } version ? version : null;

    /// <summary>The version that recorded a metric at a time; null: no KPI of now records it.</summary>
    public KpiVersion? Recording(string metric, long timeMs) => Kpis.FirstOrDefault(k => metric.StartsWith(k.Record, StringComparison.Ordinal) && KpiCompiler.Records(k).Contains(metric)) is { } kpi ? VersionAt(kpi.Name, timeMs) : null;

    /// <inheritdoc/>
    public void Dispose() => _versions.Dispose();

    [LoggerMessage(EventId = 3201, Level = LogLevel.Warning, Message = "{Count} versions of KPIs cannot be written now; they count, and are written with the next change")]
    private partial void LogNotWritten(int count);

    [LoggerMessage(EventId = 3202, Level = LogLevel.Error, Message = "{Count} versions of KPIs cannot be read: what they made has no explanation")]
    private partial void LogUnreadable(long count);
}
