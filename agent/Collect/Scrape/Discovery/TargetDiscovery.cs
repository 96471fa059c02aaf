using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>What discovery found for one job.</summary>
/// <param name="Job">The job.</param>
/// <param name="Targets">Targets to scrape, without repetition. Empty when there are more than the job's <c>target_limit</c>.</param>
/// <param name="Dropped">How many were dropped by the rules.</param>
/// <param name="Errors">What is wrong: files and endpoints that cannot be read, targets that make no sense, the limit. The last good state of what is wrong stays in force.</param>
public sealed record DiscoveredJob(ScrapeConfig Job, IReadOnlyList<ScrapeTarget> Targets, int Dropped, IReadOnlyList<string> Errors)
{
    /// <summary>Labels of the first dropped targets, as discovered; at most <see cref="DroppedLabelsMax"/>.</summary>
    public IReadOnlyList<Labels> DroppedLabels { get; init; } = [];

    /// <summary>Dropped targets whose labels are kept.</summary>
    public const int DroppedLabelsMax = 100;

    /// <summary>What the next discovery of the job starts from.</summary>
    internal DiscoveryState State { get; init; } = DiscoveryState.Empty;
}

/// <summary>
/// Finds one job's targets: static ones, those of files and those of HTTP endpoints. Synchronous: <see cref="Refresh"/> looks at the files that are due, and takes what
/// <see cref="Offer"/> brought. Not thread-safe. A file or endpoint that is wrong keeps its last good groups; a file that is gone loses them, as in Prometheus.
/// </summary>
public sealed class TargetDiscovery
{
    /// <summary>The most files of one job.</summary>
    public const int MaxFiles = 10_000;

    // A look at times and sizes is cheap for so many files; beyond, only refresh_interval counts.
    private const int QuickFilesMax = 1_000;
    private static readonly TimeSpan s_quickLook = TimeSpan.FromSeconds(2);

    private readonly ScrapeConfig _job;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, FileState> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<HttpSdConfig, HttpState> _http = [];
    private readonly Dictionary<FileSdConfig, string> _unlisted = [];
    private readonly Dictionary<object, long> _lookedAt = [];
    private readonly Dictionary<FileSdConfig, long> _readAt = [];
    private readonly HashSet<HttpSdConfig> _underWay = [];
    private bool _changed = true;

    /// <summary>Makes a discovery that has not looked yet.</summary>
    /// <param name="job">The job.</param>
    /// <param name="time">The clock.</param>
    /// <param name="before">What was known of the job before a reload, or null.</param>
    public TargetDiscovery(ScrapeConfig job, TimeProvider time, DiscoveredJob? before = null)
    {
        _job = job;
        _time = time;
        Current = new DiscoveredJob(job, [], 0, []);
        foreach ((string path, FileState state) in before?.State.Files ?? DiscoveryState.Empty.Files)
        {
            if (job.FileSdConfigs.Contains(state.Config))
                _files[path] = state;
        }
        foreach ((HttpSdConfig config, HttpState state) in before?.State.Http ?? DiscoveryState.Empty.Http)
        {
            if (job.HttpSdConfigs.Contains(config))
                _http[config] = state;
        }
    }

    /// <summary>What was found last.</summary>
    public DiscoveredJob Current { get; private set; }

    /// <summary>How long until the next look is due; infinite when there is nothing to look at. An endpoint that is being asked does not count.</summary>
    public TimeSpan NextLook
    {
        get
        {
            if (_changed)
                return TimeSpan.Zero;
            TimeSpan next = Timeout.InfiniteTimeSpan;
            foreach (FileSdConfig config in _job.FileSdConfigs)
                next = Sooner(next, Left(config, LookInterval(config)));
            foreach (HttpSdConfig config in _job.HttpSdConfigs)
            {
                if (!_underWay.Contains(config))
                    next = Sooner(next, Left(config, config.RefreshInterval));
            }
            return next;
        }
    }

    /// <summary>Looks at the files that are due and takes what was offered. True when the result is another than before.</summary>
    public bool Refresh()
    {
        foreach (FileSdConfig config in _job.FileSdConfigs)
        {
            if (Left(config, LookInterval(config)) > TimeSpan.Zero)
                continue;
            _lookedAt[config] = _time.GetTimestamp();
            bool full = !_readAt.TryGetValue(config, out long read) || _time.GetElapsedTime(read) >= config.RefreshInterval;
            if (full)
                _readAt[config] = _lookedAt[config];
            _changed |= LookAt(config, full);
        }
        if (!_changed)
            return false;
        _changed = false;
        Current = Build();
        return true;
    }

    /// <summary>The endpoints that are due to be asked; each must be answered for by <see cref="Offer"/>.</summary>
    public IReadOnlyList<HttpSdConfig> BeginDueRequests()
    {
        var due = new List<HttpSdConfig>();
        foreach (HttpSdConfig config in _job.HttpSdConfigs)
        {
            if (Left(config, config.RefreshInterval) > TimeSpan.Zero || !_underWay.Add(config))
                continue;
            _lookedAt[config] = _time.GetTimestamp();
            due.Add(config);
        }
        return due;
    }

    /// <summary>Brings what an endpoint answered.</summary>
    public void Offer(HttpSdConfig config, ConfigResult<ValueList<TargetGroup>> answer)
    {
        _underWay.Remove(config);
        HttpState before = _http.GetValueOrDefault(config) ?? new HttpState([], null);
        HttpState after = answer.IsOk ? new HttpState(answer.Value, null) : before with { Error = string.Join("; ", answer.Errors) };
        _http[config] = after;
        _changed |= after != before;
    }

    private TimeSpan Left(object config, TimeSpan interval)
    {
        TimeSpan left = _lookedAt.TryGetValue(config, out long at) ? interval - _time.GetElapsedTime(at) : TimeSpan.Zero;
        return left < TimeSpan.Zero ? TimeSpan.Zero : left;
    }

    private static TimeSpan Sooner(TimeSpan a, TimeSpan b) => a == Timeout.InfiniteTimeSpan || b < a ? b : a;

    /// <summary>Files are looked at (time and size) every few seconds, so that a change is seen soon without waiting for refresh_interval.</summary>
    private TimeSpan LookInterval(FileSdConfig config) => _files.Count <= QuickFilesMax && config.RefreshInterval > s_quickLook ? s_quickLook : config.RefreshInterval;

    /// <summary>Looks for files come, gone and changed. A <paramref name="full"/> look also reads those again that were wrong and have not changed: rights may have.</summary>
    private bool LookAt(FileSdConfig config, bool full)
    {
        bool changed = false;
        var there = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            there.UnionWith(config.Files.SelectMany(PrometheusConfigFile.ExpandGlob).Take(MaxFiles));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A folder that cannot be listed says nothing about its files: they stay as they were.
            bool told = _unlisted.GetValueOrDefault(config) == e.Message;
            _unlisted[config] = e.Message;
            return !told;
        }
        changed |= _unlisted.Remove(config);
        foreach (string file in there)
            changed |= ReadFile(config, file, full);
        foreach ((string file, FileState state) in _files.Where(f => f.Value.Config.Equals(config) && !there.Contains(f.Key)).ToList())
        {
            _files.Remove(file);
            changed = true;
        }
        return changed;
    }

    private bool ReadFile(FileSdConfig config, string path, bool full)
    {
        _files.TryGetValue(path, out FileState? before);
        var info = new FileInfo(path);
        (DateTime, long) stamp = info.Exists ? (info.LastWriteTimeUtc, info.Length) : default;
        if (before is not null && (before.Error is null || !full) && info.Exists && before.Stamp == stamp)
            return false;
        if (!info.Exists)
        {
            // Prometheus drops the targets of a file that is gone, and so do we.
            var gone = new FileState(config, stamp, [], $"{path}: no such file");
            _files[path] = gone;
            return before is null || before.Groups.Count > 0 || before.Error != gone.Error;
        }
        ConfigResult<ValueList<TargetGroup>> read = TargetGroupFile.Load(path);
        FileState after = read.IsOk
            ? new FileState(config, stamp, read.Value, null)
            : new FileState(config, stamp, before?.Groups ?? [], string.Join("; ", read.Errors));
        _files[path] = after;
        return before is null || !before.Groups.Equals(after.Groups) || before.Error != after.Error;
    }

    private DiscoveredJob Build()
    {
        var errors = new List<string>();
        var targets = new List<ScrapeTarget>();
        var seen = new HashSet<(Labels, string)>();
        int dropped = 0;
        var droppedLabels = new List<Labels>();
        foreach ((TargetGroup group, Labels labels) in Groups())
        {
            foreach (Labels target in group.Targets)
            {
                TargetOutcome outcome = TargetLabels.Build(_job, target, labels);
                if (outcome.Error is not null)
                    errors.Add(outcome.Error);
                else if (outcome.Target is null)
                {
                    if (dropped++ < DiscoveredJob.DroppedLabelsMax)
                        droppedLabels.Add(TargetLabels.Discovered(_job, target, labels));
                }
                else if (seen.Add((outcome.Target.Labels, outcome.Target.Url)))
                    targets.Add(outcome.Target);
            }
        }
        errors.AddRange(_files.OrderBy(f => f.Key, StringComparer.Ordinal).Select(f => f.Value.Error).OfType<string>());
        errors.AddRange(_unlisted.Values);
        errors.AddRange(_job.HttpSdConfigs.Select(c => _http.GetValueOrDefault(c)?.Error).OfType<string>());
        if (_job.TargetLimit > 0 && targets.Count > _job.TargetLimit)
        {
            errors.Add($"job '{_job.JobName}' has {targets.Count} targets, above its target_limit {_job.TargetLimit}: none is scraped");
            targets.Clear();
        }
        return new DiscoveredJob(_job, targets, dropped, errors)
        {
            DroppedLabels = droppedLabels,
            State = new DiscoveryState(new Dictionary<string, FileState>(_files), new Dictionary<HttpSdConfig, HttpState>(_http)),
        };
    }

    /// <summary>All groups with their labels; those of files and endpoints carry where they come from, as in Prometheus.</summary>
    private IEnumerable<(TargetGroup Group, Labels Labels)> Groups()
    {
        foreach (TargetGroup group in _job.StaticConfigs)
            yield return (group, group.Labels);
        foreach ((string path, FileState state) in _files.OrderBy(f => f.Key, StringComparer.Ordinal))
        {
            foreach (TargetGroup group in state.Groups)
                yield return (group, group.Labels.With("__meta_filepath", path));
        }
        foreach (HttpSdConfig config in _job.HttpSdConfigs)
        {
            foreach (TargetGroup group in _http.GetValueOrDefault(config)?.Groups ?? [])
                yield return (group, group.Labels.With("__meta_url", config.Url));
        }
    }
}
