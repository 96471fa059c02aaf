using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Evaluate.Kpi;

/// <summary>What the KPI files say, and the rules that it means.</summary>
public sealed record KpiSet
{
    /// <summary>The KPIs, in file order.</summary>
    public IReadOnlyList<KpiDefinition> Kpis { get; init; } = [];

    /// <summary>The rules, one group per KPI or per family of KPIs that read each other.</summary>
    public IReadOnlyList<RuleGroupDefinition> Groups { get; init; } = [];

    /// <summary>Service levels.</summary>
    public SlaSet Slas { get; init; } = new();

    /// <summary>Remarks that refuse nothing.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];
}

/// <summary>
/// Reads KPI files (docs/kpis.md). Strict: every error of every file is told, with file, line, column and the nearest word; one error refuses all files.
/// </summary>
public static class KpiFiles
{
    /// <summary>Reads all files that the patterns match. A pattern without a match is a warning.</summary>
    /// <param name="patterns">Paths with <c>*</c>, <c>?</c> and <c>[...]</c>, relative to <paramref name="folder"/>.</param>
    /// <param name="folder">Where relative patterns start.</param>
    public static ConfigResult<KpiSet> Load(IReadOnlyList<string> patterns, string folder)
    {
        var errors = new List<ConfigError>();
        var warnings = new List<string>();
        var files = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string pattern in patterns)
        {
            IReadOnlyList<string> found = FileGlob.Find(Path.Combine(folder, pattern));
            if (found.Count == 0)
                warnings.Add($"{pattern}: no KPI file matches");
            files.UnionWith(found);
        }
        if (files.Count > KpiLimits.FilesMax)
            return new ConfigResult<KpiSet>([new ConfigError(folder, 0, 0, "kpi_files", $"{files.Count} files match; at most {KpiLimits.FilesMax} are read")]);
        var texts = new List<(string File, string Text)>();
        foreach (string file in files)
        {
            if (ConfigReading.TryReadFile(file, out string text, out ConfigError? unreadable))
                texts.Add((file, text));
            else
                errors.Add(unreadable!);
        }
        ConfigResult<KpiSet> read = Parse(texts, errors);
        return read.IsOk ? new ConfigResult<KpiSet>(read.Value with { Warnings = [.. warnings, .. read.Value.Warnings] }) : read;
    }

    /// <summary>Reads the text of one file.</summary>
    public static ConfigResult<KpiSet> Parse(string text, string file) => Parse([(file, text)], []);

    private static ConfigResult<KpiSet> Parse(List<(string File, string Text)> texts, List<ConfigError> errors)
    {
        var drafts = new List<KpiDraft>();
        var slas = new SlaReading();
        // What stands in a file that cannot be read, or under a key that is not known, is not known either: then nothing can be called missing.
        bool isWhole = errors.Count == 0;
        foreach ((string file, string text) in texts)
        {
            int others = errors.Count;
            ConfigSection root = new ConfigReading(file, null, errors).Root(text);
            TimeSpan? interval = root.Has("interval") ? root.Duration("interval", TimeSpan.Zero, TimeSpan.FromSeconds(1)) : null;
            foreach (ConfigSection section in root.Sections("kpis"))
            {
                int before = errors.Count;
                KpiDraft draft = KpiReading.Read(section, file, interval);
                drafts.Add(draft with { IsFaulty = errors.Count > before });
                others += errors.Count - before;
            }
            isWhole &= errors.Count == others;
            slas.Read(root);
            others = errors.Count;
            root.Close();
            isWhole &= errors.Count == others;
        }
        isWhole &= drafts.TrueForAll(d => d.Definition.Name.Length > 0);
        SlaSet levels = slas.Finish();
        IReadOnlyList<RuleGroupDefinition> groups = errors.Count < ConfigReading.MaxErrors ? new KpiLinker(drafts, isWhole).Link() : [];
        return errors.Count > 0
            ? new ConfigResult<KpiSet>([.. errors.OrderBy(e => e.File, StringComparer.Ordinal).ThenBy(e => e.Line).ThenBy(e => e.Column)])
            : new ConfigResult<KpiSet>(new KpiSet { Kpis = [.. drafts.Select(d => d.Definition)], Groups = [.. groups, .. SlaCompiler.Groups(levels, texts.Count == 0 ? "" : texts[0].File)], Slas = levels });
    }
}

/// <summary>A KPI under way from its file to its rules, with the section that errors are told at.</summary>
internal sealed record KpiDraft(KpiDefinition Definition, ConfigSection Section)
{
    /// <summary>Whether something is wrong in its own text already: what it means is then known in part only.</summary>
    public bool IsFaulty { get; init; }

    /// <summary>The sections of an index's inputs, in their order.</summary>
    public IReadOnlyList<ConfigSection> Inputs { get; init; } = [];

    /// <summary>The numerator and the denominator of the form <c>ratio</c>; null: it has another form.</summary>
    public RatioForm? Ratio { get; init; }
}

/// <summary>The form <c>ratio</c>.</summary>
/// <param name="Part">PromQL of the part.</param>
/// <param name="Total">PromQL of the whole.</param>
/// <param name="IsBad">Whether the part is what failed, so that the rest is told.</param>
internal sealed record RatioForm(string Part, string Total, bool IsBad);
