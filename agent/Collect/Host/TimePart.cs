using System.Runtime.InteropServices;
using System.Text;

namespace Bellwether.Agent.Collect.Host;

/// <summary>The host's clock, its zone and its clock source.</summary>
internal sealed class TimePart : HostPart
{
    private const int ZoneNameBytesMax = 64;

    private readonly HostContext _context;
    private readonly MetricFamily _seconds;
    private readonly MetricFamily _zone;
    private readonly MetricFamily _available;
    private readonly MetricFamily _current;
    private readonly List<ClockSource> _sources = [];
    private readonly byte[] _zoneName = new byte[ZoneNameBytesMax];
    private int _zoneLength;
    private int _zoneSlot = -1;

    public TimePart(HostContext context)
    {
        _context = context;
        _seconds = context.Gauge("node_time_seconds", "System time in seconds since epoch (1970).");
        _zone = context.Gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.");
        _available = context.Gauge("node_time_clocksource_available_info", "Available clocksources read from '/sys/devices/system/clocksource'.");
        _current = context.Gauge("node_time_clocksource_current_info", "Current clocksource read from '/sys/devices/system/clocksource'.");
        const string prefix = "clocksource";
        foreach (string name in HostFiles.Names(context.Files.Sys("devices/system/clocksource")))
        {
            if (!name.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            string folder = $"devices/system/clocksource/{name}/";
            _sources.Add(new ClockSource(name[prefix.Length..],
                new WordSeries(context.Files.Sys(folder + "available_clocksource")), new WordSeries(context.Files.Sys(folder + "current_clocksource"))));
        }
    }

    /// <inheritdoc/>
    public override bool Collect()
    {
        DateTimeOffset now = _context.Time.GetUtcNow();
        _seconds.Set((now - DateTimeOffset.UnixEpoch).Ticks / (double)TimeSpan.TicksPerSecond);
        SetZone(now.ToUnixTimeSeconds());
        foreach (ClockSource source in _sources)
        {
            SetWords(source.Available, _available, source.Device);
            SetWords(source.Current, _current, source.Device);
        }
        return true;
    }

    private void SetZone(long unixSeconds)
    {
        if (Libc.LocalTime(in unixSeconds, out Libc.BrokenDownTime time) == 0)
            return;
        Span<byte> name = stackalloc byte[ZoneNameBytesMax];
        int length = 0;
        while (length < name.Length && Marshal.ReadByte(time.ZoneName, length) is byte next and not 0)
            name[length++] = next;
        name = name[..length];
        if (_zoneSlot < 0 || !name.SequenceEqual(_zoneName.AsSpan(0, _zoneLength)))
        {
            name.CopyTo(_zoneName);
            _zoneLength = name.Length;
            _zoneSlot = _zone.Add("time_zone", Encoding.UTF8.GetString(name));
        }
        _zone.Set(_zoneSlot, time.OffsetSeconds);
    }

    private void SetWords(WordSeries words, MetricFamily family, string device)
    {
        if (!_context.Files.TryRead(words.File, out ReadOnlySpan<byte> text))
            return;
        if (!text.SequenceEqual(words.Text))
        {
            words.Text = text.ToArray();
            words.Slots.Clear();
            foreach (string word in Encoding.UTF8.GetString(text).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
                words.Slots.Add(family.Add("device", device, "clocksource", word));
        }
        foreach (int slot in words.Slots)
            family.Set(slot, 1);
    }

    private sealed record ClockSource(string Device, WordSeries Available, WordSeries Current);

    private sealed class WordSeries(FilePath file)
    {
        public FilePath File { get; } = file;

        public byte[] Text { get; set; } = [];

        public List<int> Slots { get; } = [];
    }
}
