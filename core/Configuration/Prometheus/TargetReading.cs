using Bellwether.Core.Model;
using Bellwether.Core.Relabel;
using Bellwether.Core.Text;

namespace Bellwether.Core.Configuration.Prometheus;

/// <summary>What a reader does with discovery mechanisms that we do not have.</summary>
public enum ForeignDiscovery
{
    /// <summary>An error that names what there is instead.</summary>
    Refuse,

    /// <summary>Not looked at: to check the rest of a Prometheus file.</summary>
    Ignore,
}

/// <summary>Reads the keys that say where targets come from.</summary>
public static class TargetReading
{

    // The mechanisms of Prometheus 3 that we do not have; anything else is a misspelt key.
    private static readonly string[] s_foreign =
    [
        .. "aws azure consul digitalocean dns docker dockerswarm ec2 ecs elasticache eureka gce hetzner ionos kubernetes kuma lightsail linode marathon msk nerve nomad oci openstack outscale ovhcloud puppetdb rds scaleway serverset stackit triton uyuni vultr"
            .Split(' ').Select(n => n + "_sd_configs"),
    ];

    private static readonly Re2Pattern s_fileName = Re2Pattern.CompileAnchored(@"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)");

    /// <summary>Reads one <c>static_configs</c> list.</summary>
    public static ValueList<TargetGroup> ReadStatic(ConfigSection parent, bool checkAddresses)
    {
        var groups = new List<TargetGroup>();
        foreach (ConfigSection section in parent.Sections("static_configs"))
            groups.Add(ReadGroup(section, $"{groups.Count}", checkAddresses));
        return [.. groups];
    }

    /// <summary>Reads one target group: <c>targets</c> and <c>labels</c>.</summary>
    public static TargetGroup ReadGroup(ConfigSection section, string source, bool checkAddresses)
    {
        var targets = new List<Labels>();
        foreach ((ConfigNode node, string path) in section.List("targets"))
        {
            if (!section.CheckScalar(node, path))
                continue;
            if (checkAddresses && TargetLabels.AddressError(node.Text) is { } error)
                section.Reading.Error(node, path, error);
            targets.Add(Labels.Of(TargetLabels.Address, node.Text));
        }
        var group = new TargetGroup { Targets = [.. targets], Labels = section.Labels("labels"), Source = source };
        section.Close();
        return group;
    }

    /// <summary>Reads <c>file_sd_configs</c>.</summary>
    public static ValueList<FileSdConfig> ReadFiles(ConfigSection parent)
    {
        var configs = new List<FileSdConfig>();
        foreach (ConfigSection section in parent.Sections("file_sd_configs"))
        {
            ValueList<string> files = section.Texts("files");
            if (files.Count == 0)
                section.Error("files", "is missing; name at least one file");
            foreach ((ConfigNode node, string path) in section.List("files"))
            {
                if (node.Kind == ConfigNodeKind.Scalar && !s_fileName.IsMatch(node.Text))
                    section.Reading.Error(node, path, $"'{node.Text}' must end in .json, .yml or .yaml, with '*' only in the last part of the path");
            }
            configs.Add(new FileSdConfig
            {
                Files = [.. files.Select(section.Reading.Resolve)],
                RefreshInterval = Positive(section.Duration("refresh_interval", TimeSpan.FromMinutes(5)), TimeSpan.FromMinutes(5)),
            });
            section.Close();
        }
        return [.. configs];
    }

    /// <summary>Reads <c>http_sd_configs</c>.</summary>
    public static ValueList<HttpSdConfig> ReadHttp(ConfigSection parent, bool supportedOnly)
    {
        var configs = new List<HttpSdConfig>();
        foreach (ConfigSection section in parent.Sections("http_sd_configs"))
        {
            string url = section.RequiredText("url");
            if (url.Length > 0 && UrlError(url) is { } error)
                section.Error("url", error);
            configs.Add(new HttpSdConfig
            {
                Url = url,
                RefreshInterval = Positive(section.Duration("refresh_interval", TimeSpan.FromMinutes(1)), TimeSpan.FromMinutes(1)),
                HttpClient = HttpClientReading.Read(section, supportedOnly),
            });
            section.Close();
        }
        return [.. configs];
    }

    /// <summary>Deals with the other <c>*_sd_configs</c> keys and closes the section.</summary>
    public static void Close(ConfigSection section, ForeignDiscovery foreign)
    {
        var others = new List<string>();
        foreach ((ConfigNode key, _) in section.Node?.Entries ?? [])
        {
            if (!s_foreign.Contains(key.Text))
                continue;
            others.Add(key.Text);
            if (foreign == ForeignDiscovery.Refuse)
                section.Reading.Error(key, section.PathOf(key.Text), "this discovery is not supported; use static_configs, file_sd_configs or http_sd_configs");
        }
        section.Close([.. others]);
    }

    /// <summary>What is wrong with an http or https URL, or null.</summary>
    public static string? UrlError(string url)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? parsed) || parsed.Scheme is not ("http" or "https"))
            return $"'{url}' is not a URL that starts with http:// or https://";
        return parsed.Host.Length == 0 ? $"'{url}' has no host" : null;
    }

    internal static TimeSpan Positive(TimeSpan value, TimeSpan @default) => value > TimeSpan.Zero ? value : @default;
}
