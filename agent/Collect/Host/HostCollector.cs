using Bellwether.Core.Codec;
using Bellwether.Core.Model;

namespace Bellwether.Agent.Collect.Host;

/// <summary>
/// The metrics of a Linux host under node_exporter's names and labels, so that dashboards and rules made for it work. Source name <c>host</c>. In steady state a tick
/// allocates next to nothing: files are read into one buffer, and a series' slot is found by the bytes of its device.
/// </summary>
public sealed class HostCollector : ICollector
{
    /// <summary>The source's name.</summary>
    public const string SourceName = "host";

    /// <summary>The parts are also made anew when they remember this many devices and fields, and four times as many as there are series.</summary>
    private const int RememberedMin = 20_000;

    private static readonly (string Name, bool IsDefault, Func<HostContext, MountProbe, HostPart> Make)[] Known =
    [
        ("arp", true, (context, _) => new ArpPart(context)),
        ("conntrack", true, (context, _) => new ConntrackPart(context)),
        ("cpu", true, (context, _) => new CpuPart(context)),
        ("cpu_vulnerabilities", false, (context, _) => new CpuVulnerabilitiesPart(context)),
        ("cpufreq", true, (context, _) => new CpuFrequencyPart(context)),
        ("diskstats", true, (context, _) => new DiskPart(context)),
        ("dmi", true, (context, _) => new DmiPart(context)),
        ("entropy", true, (context, _) => new EntropyPart(context)),
        ("filefd", true, (context, _) => new FileDescriptorPart(context)),
        ("filesystem", true, (context, probe) => new FileSystemPart(context, probe)),
        ("hwmon", true, (context, _) => new HwmonPart(context)),
        ("loadavg", true, (context, _) => new LoadPart(context)),
        ("meminfo", true, (context, _) => new MemoryPart(context)),
        ("netclass", true, (context, _) => new NetClassPart(context)),
        ("netdev", true, (context, _) => new NetDevPart(context)),
        ("netstat", true, (context, _) => new NetStatPart(context)),
        ("os", true, (context, _) => new OsPart(context)),
        ("pressure", true, (context, _) => new PressurePart(context)),
        ("schedstat", true, (context, _) => new SchedStatPart(context)),
        ("sockstat", true, (context, _) => new SockStatPart(context)),
        ("softnet", true, (context, _) => new SoftNetPart(context)),
        ("stat", true, (context, _) => new StatPart(context)),
        ("thermal_zone", true, (context, _) => new ThermalZonePart(context)),
        ("time", true, (context, _) => new TimePart(context)),
        ("udp_queues", true, (context, _) => new UdpQueuesPart(context)),
        ("uname", true, (context, _) => new UnamePart(context)),
        ("vmstat", true, (context, _) => new VmStatPart(context)),
    ];

    private readonly HostCollectorOptions _options;
    private readonly TimeProvider _time;
    private readonly MountProbe _probe;
    private Generation _generation;

    /// <summary>Makes the collector; nothing is read yet.</summary>
    /// <param name="options">Settings. Regular expressions in it must be valid; unknown collector names throw <see cref="ArgumentException"/>.</param>
    /// <param name="time">The clock.</param>
    public HostCollector(HostCollectorOptions options, TimeProvider time) : this(options, time, new MountProbe())
    {
    }

    internal HostCollector(HostCollectorOptions options, TimeProvider time, MountProbe probe)
    {
        foreach (string name in options.Enable.Concat(options.Disable))
        {
            if (!CollectorNames.Contains(name))
                throw new ArgumentException($"no host collector '{name}'; there are: {string.Join(", ", CollectorNames)}", nameof(options));
        }
        _options = options;
        _time = time;
        _probe = probe;
        _generation = new Generation(this);
    }

    /// <summary>All collectors by node_exporter's names, for <see cref="HostCollectorOptions.Enable"/> and <see cref="HostCollectorOptions.Disable"/>.</summary>
    public static IReadOnlyList<string> CollectorNames { get; } = Array.ConvertAll(Known, k => k.Name);

    /// <summary>The collectors that are on without being asked for.</summary>
    public static IReadOnlyList<string> DefaultCollectorNames { get; } = [.. Known.Where(k => k.IsDefault).Select(k => k.Name)];

    /// <inheritdoc/>
    public string Name => SourceName;

    /// <summary>The labels of all its series.</summary>
    public Labels TargetLabels
    {
        get
        {
            var labels = new LabelsBuilder();
            foreach ((string name, string value) in _options.Labels)
                labels.Set(name, value);
            return labels.Set("job", _options.Job).Set("instance", _options.Instance).Build();
        }
    }

    /// <inheritdoc/>
    public TimeSpan Interval => _options.Interval;

    /// <summary>Series refused by <see cref="HostCollectorOptions.SeriesMax"/> since the table was made.</summary>
    public long SeriesRefused => _generation.Series.Refused;

    /// <inheritdoc/>
    public ValueTask CollectAsync(SourceTick tick, long timestampMs, CancellationToken cancellation)
    {
        RenewIfMostlyDead(tick, out List<Labels>? last);
        _generation.Series.Begin(tick, timestampMs);
        _generation.Collect(_time);
        if (last is not null)
            _generation.Series.EndMissing(last);
        tick.Complete();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void End(SourceTick tick, long timestampMs)
    {
        _generation.Series.Begin(tick, timestampMs);
        tick.Complete();
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _probe.Dispose();
        return ValueTask.CompletedTask;
    }

    private void RenewIfMostlyDead(SourceTick tick, out List<Labels>? last)
    {
        last = null;
        SeriesTable series = _generation.Series;
        if (!series.IsMostlyDead(tick) && _generation.Context.Remembered < Math.Max(RememberedMin, series.Table.Count * 4))
            return;
        last = series.PresentIn(tick);
        _generation = new Generation(this);
    }

    /// <summary>One table with the parts that know its slots.</summary>
    private sealed class Generation
    {
        private readonly List<(HostPart Part, int DurationSlot, int SuccessSlot)> _parts = [];
        private readonly int _upSlot;
        private readonly MetricFamily _up;
        private readonly MetricFamily _duration;
        private readonly MetricFamily _success;

        public Generation(HostCollector owner)
        {
            HostCollectorOptions options = owner._options;
            var common = new LabelsBuilder();
            foreach ((string name, string value) in options.Labels)
                common.Set(name, value);
            common.Set("job", options.Job).Set("instance", options.Instance);
            Series = new SeriesTable(SourceName, options.Interval, common.Build(), options.SeriesMax);
            Context = new HostContext(options, Series, owner._time);
            // What Prometheus writes when it scrapes an exporter: rules and dashboards ask for it.
            _up = Context.Gauge("up", "Whether the collector answered.");
            _upSlot = _up.Add();
            _duration = Context.Gauge("node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.");
            _success = Context.Gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.");
            foreach ((string name, bool isDefault, Func<HostContext, MountProbe, HostPart> make) in Known)
            {
                if ((isDefault || options.Enable.Contains(name)) && !options.Disable.Contains(name))
                    _parts.Add((make(Context, owner._probe), _duration.Add("collector", name), _success.Add("collector", name)));
            }
        }

        public SeriesTable Series { get; }

        public HostContext Context { get; }

        public void Collect(TimeProvider time)
        {
            _up.Set(_upSlot, 1);
            foreach ((HostPart part, int durationSlot, int successSlot) in _parts)
            {
                long started = time.GetTimestamp();
                bool ok = part.Collect();
                _success.Set(successSlot, ok ? 1 : 0);
                _duration.Set(durationSlot, time.GetElapsedTime(started).TotalSeconds);
            }
        }
    }
}
