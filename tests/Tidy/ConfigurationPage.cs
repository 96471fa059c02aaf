using System.Text;
using Bellwether.Agent.Configuration;
using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;

namespace Bellwether.Tidy;

/// <summary>Writes docs/configuration.md from the configuration records: the programs' own sections one by one, then the forms that they share with Prometheus.</summary>
internal static class ConfigurationPage
{
    private const string Intro = """
        # Configuration

        Made from the code by tests/Tidy (`BELLWETHER_UPDATE=1 dotnet test tests/Tidy` writes it anew); do not edit it.

        Each program reads one YAML file: `bellwether-agent run --config agent.yaml`, `bellwether-aggregator serve --config aggregator.yaml`. `check` in place of `run` and `serve` reads it, and the files that
        it names, and starts nothing. A wrong file is refused whole: every error with file, line, column, what is wrong and what would be right; the exit code is 2.

        - **duration**: `500ms`, `30s`, `5m`, `1h30m`, `7d`; units y, w, d, h, m, s, ms. **size**: `512KB`, `64MB`, `1GB`; to the base 2.
        - **file**: relative paths start at the folder of the configuration file. **secret**: never printed or logged.
        - **labels**: names with texts, e.g. `{site: berlin}`. **word**: one of the words that the text names.
        - **applies**: `reload` = at SIGHUP (the aggregator's `POST /-/reload` too); `restart` = at the next start. A reload that is refused changes nothing.

        """;

    private const string Shared = """
        ## What both share with Prometheus

        `global`, `scrape_configs` and `remote_write` are Prometheus 3's own: a section can be taken over as it is. What Prometheus can and these programs cannot do is refused with its place: other
        `*_sd_configs`, `oauth2`, `sigv4`, `azuread`, `google_iam`. A few keys are read and checked but have no effect; their text says so. When a change applies says the table that holds the section:
        `scrape_configs` at the agent's reload, `remote_write` at the aggregator's restart.

        """;

    /// <summary>The configuration of the agent and all sections below.</summary>
    public static OptionSection Agent { get; } = OptionWalk.Of(typeof(AgentConfig), "");

    /// <summary>The configuration of the aggregator and all sections below.</summary>
    public static OptionSection Aggregator { get; } = OptionWalk.Of(typeof(AggregatorConfig), "");

    /// <summary>The whole page.</summary>
    public static string Write()
    {
        var page = new StringBuilder(Intro);
        page.Append('\n');
        WriteFile(page, "agent.yaml", Agent);
        WriteFile(page, "aggregator.yaml", Aggregator);
        page.Append(Shared).Append('\n');
        var seen = new HashSet<Type>();
        foreach (OptionSection section in OptionWalk.All(Agent).Concat(OptionWalk.All(Aggregator)).Where(s => IsShared(s.Type) && seen.Add(s.Type)))
        {
            page.Append($"### `{SharedName(section)}`\n\n| key | type | default | |\n| --- | --- | --- | --- |\n");
            foreach (OptionRow row in section.Rows)
                page.Append($"| `{row.Key}` | {Link(row, "")} | {Cell(row.Default)} | {Cell(row.Text)} |\n");
            page.Append('\n');
        }
        return page.ToString().TrimEnd('\n') + "\n";
    }

    private static void WriteFile(StringBuilder page, string file, OptionSection root)
    {
        page.Append($"## {file}\n\n");
        foreach (OptionSection section in OptionWalk.All(root).Where(s => !IsShared(s.Type)))
        {
            // Sections that only hold sections have nothing to say themselves; the file's own keys are told without a heading.
            if (section.Path.Length > 0 && section.Rows.All(r => r.Text.Length == 0))
                continue;
            if (section.Path.Length > 0)
                page.Append($"### {file}: `{section.Path}`\n\n");
            page.Append("| key | type | default | applies | |\n| --- | --- | --- | --- | --- |\n");
            foreach (OptionRow row in section.Rows.Where(r => section.Path.Length == 0 || r.Text.Length > 0))
                page.Append($"| `{row.Key}` | {Link(row, file)} | {Cell(row.Default)} | {row.Reloads switch { true => "reload", false => "restart", null => "" }} | {Cell(row.Text)} |\n");
            page.Append('\n');
        }
    }

    private static bool IsShared(Type type) => type.Assembly == typeof(ConfigSection).Assembly;

    /// <summary>The last part of the first path that leads to a form; relabelling rules have several names.</summary>
    private static string SharedName(OptionSection section)
    {
        string last = section.Path[(section.Path.LastIndexOf('.') + 1)..];
        return last.EndsWith("relabel_configs[]", StringComparison.Ordinal) ? "relabel_configs[]" : last;
    }

    private static string Link(OptionRow row, string file)
    {
        if (row.Section is not { } section)
            return Cell(row.Type);
        if (!IsShared(section.Type))
        {
            // A section of sections has no heading of its own: its first child that has one is meant.
            OptionSection target = OptionWalk.All(section).First(s => s.Rows.Any(r => r.Text.Length > 0));
            return $"[{row.Type}](#{Anchor($"{file}: {target.Path}")})";
        }
        return $"[{row.Type}](#{Anchor(SharedName(section))})";
    }

    /// <summary>A heading's anchor as forges make it.</summary>
    private static string Anchor(string heading) =>
        string.Concat(heading.ToLowerInvariant().Select(c => c == ' ' ? '-' : c).Where(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'));

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);
}
