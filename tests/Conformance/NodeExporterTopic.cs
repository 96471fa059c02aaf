using System.Globalization;
using System.Text;
using Bellwether.Agent.Collect.Host;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;

namespace Bellwether.Conformance;

/// <summary>
/// The host collector on a tree of fixture files, with the settings that the conformance README gives, against the recorded exposition. A case is a family that we
/// emit; families that no collector of ours has are named in one line.
/// </summary>
internal sealed class NodeExporterTopic : ITopic
{
    private const string ExpectedFile = "e2e-output.shared.txt";

    // These depend on the machine or the moment of the recording.
    private static readonly string[] NotCompared = ["node_scrape_collector_duration_seconds", "node_time_seconds", "node_time_zone_offset_seconds", "node_textfile_mtime_seconds", "node_exporter_build_info"];

    /// <inheritdoc/>
    public string Name => "node_exporter";

    /// <inheritdoc/>
    public void Run(string folder, TopicReport report)
    {
        string fixtures = Path.Combine(folder, "fixtures");
        string unpacked = Directory.CreateTempSubdirectory("bellwether-node-").FullName;
        try
        {
            foreach (string archive in Directory.GetFiles(fixtures, "*.ttar"))
                Ttar.Unpack(archive, unpacked);
            Dictionary<string, SortedDictionary<string, double>> got = Collect(Options(fixtures, unpacked));
            // Network counters came from the recording machine's own lo: ours are this machine's; names and labels are what can be compared.
            Merge(got, Collect(new HostCollectorOptions { Enable = ["netdev"], Disable = AllBut("netdev"), NetDevInclude = "^lo$", Job = "" }));
            Compare(Path.Combine(folder, ExpectedFile), got, report);
        }
        finally
        {
            Directory.Delete(unpacked, recursive: true);
        }
    }

    private static HostCollectorOptions Options(string fixtures, string unpacked) => new()
    {
        Job = "",
        ProcPath = Path.Combine(fixtures, "proc"),
        SysPath = Path.Combine(unpacked, "sys"),
        RootPath = fixtures,
        UdevDataPath = Path.Combine(unpacked, "udev", "data"),
        Enable = HostCollector.CollectorNames,
        Disable = [.. HostCollector.CollectorNames.Where(n => n is "selinux" or "filesystem" or "timex" or "uname" or "netdev")],
        CpuInfo = true,
        CpuFlagsInclude = "^(aes|avx.?|constant_tsc)$",
        CpuBugsInclude = "^(cpu_meltdown|spectre_.*|mds)$",
        ArpDeviceExclude = "nope",
        HwmonChipInclude = "(applesmc|asus_nb_wmi|coretemp|hwmon4|ieee80211|nct6779)",
        NetClassExclude = "(dmz|int)",
        NetClassIgnoreInvalidSpeed = true,
        StatSoftirqs = true,
        SeriesMax = 100_000,
    };

    private static string[] AllBut(string name) => [.. HostCollector.CollectorNames.Where(n => n != name)];

    private static Dictionary<string, SortedDictionary<string, double>> Collect(HostCollectorOptions options)
    {
        var collector = new HostCollector(options, TimeProvider.System);
        var tick = new SourceTick();
        collector.CollectAsync(tick, 0, CancellationToken.None).AsTask().GetAwaiter().GetResult();
        var families = new Dictionary<string, SortedDictionary<string, double>>();
        for (int slot = 0; slot < tick.Table.Count; slot++)
        {
            if (SourceTick.IsSet(tick.Present, slot))
                FamilyOf(families, tick.Table[slot].MetricName)[tick.Table[slot].ToString()] = tick.Values[slot];
        }
        return families;
    }

    private static SortedDictionary<string, double> FamilyOf(Dictionary<string, SortedDictionary<string, double>> families, string name)
    {
        if (!families.TryGetValue(name, out SortedDictionary<string, double>? family))
            families[name] = family = new SortedDictionary<string, double>(StringComparer.Ordinal);
        return family;
    }

    private static void Merge(Dictionary<string, SortedDictionary<string, double>> into, Dictionary<string, SortedDictionary<string, double>> from)
    {
        foreach ((string name, SortedDictionary<string, double> family) in from)
        {
            if (!name.StartsWith("node_scrape_", StringComparison.Ordinal))
                into[name] = family;
        }
    }

    private static void Compare(string file, Dictionary<string, SortedDictionary<string, double>> got, TopicReport report)
    {
        var expected = new Dictionary<string, SortedDictionary<string, double>>();
        var lines = new Dictionary<string, int>();
        string[] text = File.ReadAllLines(file);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i].Length == 0 || text[i][0] == '#')
                continue;
            (Labels labels, double value) = ExpositionLine.Parse(text[i]);
            FamilyOf(expected, labels.MetricName)[labels.ToString()] = value;
            lines.TryAdd(labels.MetricName, i + 1);
        }
        var missing = new List<string>();
        foreach ((string name, SortedDictionary<string, double> family) in expected)
        {
            if (NotCompared.Contains(name))
                continue;
            if (!got.TryGetValue(name, out SortedDictionary<string, double>? ours))
            {
                missing.Add(name);
                continue;
            }
            IEnumerable<KeyValuePair<string, double>> wanted = family;
            // The recorded program had more collectors than we do.
            if (name == "node_scrape_collector_success")
                wanted = family.Where(s => ours.ContainsKey(s.Key));
            CompareFamily(name, lines[name], wanted, ours, report);
        }
        report.Note($"families not covered: {missing.Count} of {expected.Count}: {string.Join(' ', missing)}");
    }

    private static void CompareFamily(string name, int line, IEnumerable<KeyValuePair<string, double>> expected, SortedDictionary<string, double> ours, TopicReport report)
    {
        string want = Text(expected), have = Text(ours);
        if (want == have)
        {
            report.Pass();
            return;
        }
        string[] wanted = want.Split('\n'), had = have.Split('\n');
        report.Fail($"node_exporter/{ExpectedFile}", line, name, Few(wanted.Except(had)), Few(had.Except(wanted)));
    }

    private static string Few(IEnumerable<string> lines) => string.Join(" | ", lines.Take(4));

    private static string Text(IEnumerable<KeyValuePair<string, double>> samples) =>
        string.Join('\n', samples.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Key} {s.Value:R}")).Order(StringComparer.Ordinal));
}

/// <summary>The text archive of the fixtures: blocks of a path, its content or link target, and its mode.</summary>
internal static class Ttar
{
    /// <summary>Unpacks an archive into a folder.</summary>
    public static void Unpack(string archive, string into)
    {
        // Latin-1 keeps each byte as it is: fixtures have bytes that are no UTF-8.
        string[] lines = File.ReadAllText(archive, Encoding.Latin1).Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            if (Value(lines[i], "Directory: ") is { } directory)
                Directory.CreateDirectory(Path.Combine(into, directory));
            if (Value(lines[i], "Path: ") is not { } path)
                continue;
            string full = Path.Combine(into, path);
            Directory.CreateDirectory(Path.GetDirectoryName(full)!);
            i++;
            if (Value(lines[i], "SymlinkTo: ") is { } target)
            {
                File.CreateSymbolicLink(full, target);
                continue;
            }
            int count = int.Parse(Value(lines[i], "Lines: ") ?? throw new FormatException($"{archive}:{i + 1}: expected Lines"), CultureInfo.InvariantCulture);
            File.WriteAllText(full, Content(lines.AsSpan(i + 1, count)), Encoding.Latin1);
            i += count;
        }
    }

    private static string Content(ReadOnlySpan<string> lines)
    {
        var text = new StringBuilder();
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Replace("\\NULLBYTE", "\u0001", StringComparison.Ordinal).Replace("NULLBYTE", "\0", StringComparison.Ordinal).Replace("\u0001", "NULLBYTE", StringComparison.Ordinal);
            bool noLineEnd = i == lines.Length - 1 && line.EndsWith("EOF", StringComparison.Ordinal) && !line.EndsWith("\\EOF", StringComparison.Ordinal);
            text.Append(noLineEnd ? line[..^3] : line.Replace("\\EOF", "EOF", StringComparison.Ordinal));
            if (!noLineEnd)
                text.Append('\n');
        }
        return text.ToString();
    }

    private static string? Value(string line, string key) => line.StartsWith(key, StringComparison.Ordinal) ? line[key.Length..] : null;
}
