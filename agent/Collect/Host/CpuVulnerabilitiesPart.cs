namespace Bellwether.Agent.Collect.Host;

/// <summary>/sys/devices/system/cpu/vulnerabilities: a file per known flaw, with the state and what is done about it.</summary>
internal sealed class CpuVulnerabilitiesPart(HostContext context) : HostPart
{
    private readonly MetricFamily _info = context.Gauge("node_cpu_vulnerabilities_info", "Details of each CPU vulnerability reported by sysfs. The value of the series is an int encoded state of the vulnerability. The same state is stored as a string in the label");
    private readonly List<int> _slots = [];
    private bool _read;

    /// <inheritdoc/>
    public override bool Collect()
    {
        if (!_read)
        {
            _read = true;
            foreach (string name in HostFiles.Names(context.Files.Sys("devices/system/cpu/vulnerabilities")))
            {
                string text = context.Files.ReadText(context.Files.Sys("devices/system/cpu/vulnerabilities/" + name)) ?? "";
                int colon = text.IndexOf(':', StringComparison.Ordinal);
                string state = (colon < 0 ? text : text[..colon]).Trim().ToLowerInvariant();
                string mitigation = state == "mitigation" ? text[(colon + 1)..].Trim() : "";
                _slots.Add(_info.Add("codename", name, "state", state, "mitigation", mitigation));
            }
        }
        foreach (int slot in _slots)
            _info.Set(slot, 1);
        return true;
    }
}
