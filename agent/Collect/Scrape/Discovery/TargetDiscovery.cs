using Bellwether.Core.Configuration;
using Bellwether.Core.Configuration.Prometheus;
using Bellwether.Core.Model;
using Bellwether.Core.Relabel;

namespace Bellwether.Agent.Collect.Scrape.Discovery;

/// <summary>What discovery found for one job.</summary>
/// <param name="Job">The job.</param>
/// <param name="Targets">Targets to scrape, without repetition. Empty when there are more than the job's <c>target_limit</c>.</param>
/// <param name="Dropped">How many were dropped by the rules.</param>
/// <param name="Errors">What is wrong: files that cannot be read, targets that make no sense, the limit. The last good state of a wrong file stays in force.</param>
public sealed record DiscoveredJob(ScrapeConfig Job, IReadOnlyList<ScrapeTarget> Targets, int Dropped, IReadOnlyList<string> Errors);

/// <summary>
/// Finds one job's targets: static ones and those of files. Synchronous; <see cref="Refresh"/> looks at the files that are due. Not thread-safe.
/// A file that is wrong keeps its last good groups; a file that is gone loses them, as in Prometheus.
/// </summary>
public sealed class TargetDiscovery
{
    /// <summary>The most files of one job.</summary>
    public const int MaxFiles = 10_000;

    private readonly ScrapeConfig _job;
    private readonly TimeProvider _time;
    private readonly Dictionary<string, FileState> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<FileSdConfig, long> _lookedAt = [];
    private bool _first = true;

    /// <summary>Makes a discovery that has not looked yet.</summary>
    public TargetDiscovery(ScrapeConfig job, TimeProvider time)
    {
        _job = job;
        _time = time;
        Current = new DiscoveredJob(job, [], 0, []);
    }

    /// <summary>What was found last.</summary>
    public DiscoveredJob Current { get; private set; }

    /// <summary>How long until the next look is due; infinite when there are no files.</summary>
    public TimeSpan NextLook
    {
        get
        {
            if (_first)
                return TimeSpan.Zero;
            TimeSpan next = Timeout.InfiniteTimeSpan;
            foreach (FileSdConfig config in _job.FileSdConfigs)
            {
                TimeSpan left = config.RefreshInterval - _time.GetElapsedTime(_lookedAt[config]);
                left = left < TimeSpan.Zero ? TimeSpan.Zero : left;
                next = next == Timeout.InfiniteTimeSpan || left < next ? left : next;
            }
            return next;
        }
    }

    /// <summary>Looks at the files that are due. True when the result is another than before.</summary>
    public bool Refresh()
    {
        bool looked = _first;
        foreach (FileSdConfig config in _job.FileSdConfigs)
        {
            if (_lookedAt.TryGetValue(config, out long last) && _time.GetElapsedTime(last) < config.RefreshInterval)
                continue;
            _lookedAt[config] = _time.GetTimestamp();
            looked |= LookAt(config);
        }
        _first = false;
        if (looked)
            Current = Build();
        return looked;
    }

    private bool LookAt(FileSdConfig config)
    {
        bool changed = false;
        var there = new HashSet<string>(StringComparer.Ordinal);
        foreach (string glob in config.Files)
        {
            foreach (string file in PrometheusConfigFile.ExpandGlob(glob).Take(MaxFiles))
            {
                there.Add(file);
                changed |= ReadFile(config, file);
            }
        }
        foreach ((string file, FileState state) in _files.Where(f => f.Value.Config.Equals(config) && !there.Contains(f.Key)).ToList())
        {
            _files.Remove(file);
            changed = true;
        }
        return changed;
    }

    private bool ReadFile(FileSdConfig config, string path)
    {
        _files.TryGetValue(path, out FileState? before);
        var info = new FileInfo(path);
        (DateTime, long) stamp = info.Exists ? (info.LastWriteTimeUtc, info.Length) : default;
        if (before is { Error: null } && info.Exists && before.Stamp == stamp)
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
        foreach (TargetGroup group in Groups())
        {
            foreach (Labels target in group.Targets)
            {
                TargetOutcome outcome = TargetLabels.Build(_job, target, WithFile(group));
                if (outcome.Error is not null)
                    errors.Add(outcome.Error);
                else if (outcome.Target is null)
                    dropped++;
                else if (seen.Add((outcome.Target.Labels, outcome.Target.Url)))
                    targets.Add(outcome.Target);
            }
        }
        errors.AddRange(_files.OrderBy(f => f.Key, StringComparer.Ordinal).Select(f => f.Value.Error).OfType<string>());
        if (_job.TargetLimit > 0 && targets.Count > _job.TargetLimit)
        {
            errors.Add($"job '{_job.JobName}' has {targets.Count} targets, above its target_limit {_job.TargetLimit}: none is scraped");
            targets.Clear();
        }
        return new DiscoveredJob(_job, targets, dropped, errors);
    }

    private IEnumerable<TargetGroup> Groups() =>
        _job.StaticConfigs.Concat(_files.OrderBy(f => f.Key, StringComparer.Ordinal).SelectMany(f => f.Value.Groups));

    /// <summary>Groups of files carry the file's path, as in Prometheus.</summary>
    private static Labels WithFile(TargetGroup group) =>
        group.Source.Contains('/') ? group.Labels.With("__meta_filepath", group.Source[..group.Source.LastIndexOf(':')]) : group.Labels;

    private sealed record FileState(FileSdConfig Config, (DateTime Written, long Length) Stamp, ValueList<TargetGroup> Groups, string? Error);
}
