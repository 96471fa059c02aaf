using System.Globalization;
using System.Text;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>Reads lists of target groups: the files of file discovery (YAML or JSON) and the answers of HTTP discovery (JSON). One wrong group refuses the whole.</summary>
public static class TargetGroupFile
{
    /// <summary>The longest file, in bytes.</summary>
    public const int MaxBytes = 16 * 1024 * 1024;

    /// <summary>Reads a file; its name's ending tells the format.</summary>
    public static ConfigResult<ValueList<TargetGroup>> Load(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
                return new([new ConfigError(path, 0, 0, "", $"the file is longer than {MaxBytes} bytes")]);
            return Parse(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new([new ConfigError(path, 0, 0, "", $"cannot be read: {e.Message}")]);
        }
    }

    /// <summary>Reads content; a name that ends in .json (or a URL's) is JSON, all else YAML.</summary>
    public static ConfigResult<ValueList<TargetGroup>> Parse(ReadOnlySpan<byte> utf8, string name, bool json = false)
    {
        var errors = new List<ConfigError>();
        json |= name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);
        ConfigNode? root = json ? JsonReader.Read(utf8, name, errors) : YamlReader.Read(Encoding.UTF8.GetString(utf8), name, errors);
        if (errors.Count > 0)
            return new(errors);
        var reading = new ConfigReading(name, errors: errors);
        var groups = new List<TargetGroup>();
        if (root is { Kind: not ConfigNodeKind.Sequence, IsNull: false } || (json && root is null or { IsNull: true }))
            reading.Error(root, "", "must be a list of target groups");
        foreach (ConfigNode item in root?.Items ?? [])
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"[{groups.Count}]");
            if (item.Kind != ConfigNodeKind.Mapping)
                reading.Error(item, path, "must be a group with targets and labels, not " + item.Describe());
            groups.Add(item.Kind == ConfigNodeKind.Mapping
                ? TargetReading.ReadGroup(new ConfigSection(reading, item, path), string.Create(CultureInfo.InvariantCulture, $"{name}:{groups.Count}"), checkAddresses: false)
                : new TargetGroup());
        }
        return reading.Result<ValueList<TargetGroup>>([.. groups]);
    }
}
