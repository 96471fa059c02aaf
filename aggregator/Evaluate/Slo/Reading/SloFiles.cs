using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Rules;

namespace Bellwether.Evaluate.Slo.Reading;

/// <summary>How SLO files are read. Immutable.</summary>
public sealed record SloFileOptions
{
    /// <summary>Whether names that documents use of each other are looked up. Off: each document is checked by itself, and no objectives of OpenSLO come out. Default on.</summary>
    public bool Resolve { get; init; } = true;

    /// <summary>Most files that the patterns may match. Default 10,000.</summary>
    public int FilesMax { get; init; } = 10_000;

    /// <summary>Most objectives of all files together. Default 20,000.</summary>
    public int SlosMax { get; init; } = 20_000;
}

/// <summary>
/// Reads SLO files: OpenSLO v1 (and v1alpha), Sloth, Pyrra, Bellwether's short form; several documents in one file. All errors of all files in one run, each with file,
/// line, column and what would be right. A name that one document uses of another may stand in any of the files.
/// </summary>
public static class SloFiles
{
    /// <summary>Reads all files that the patterns match. A pattern without a match is a warning.</summary>
    /// <param name="patterns">Paths with <c>*</c>, <c>?</c> and <c>[...]</c>, relative to <paramref name="folder"/>.</param>
    /// <param name="folder">Where relative patterns start.</param>
    /// <param name="options">How to read.</param>
    public static ConfigResult<SloSet> Load(IReadOnlyList<string> patterns, string folder, SloFileOptions? options = null)
    {
        options ??= new SloFileOptions();
        var warnings = new List<ConfigError>();
        var files = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string pattern in patterns)
        {
            IReadOnlyList<string> found = FileGlob.Find(Path.Combine(folder, pattern));
            if (found.Count == 0)
                warnings.Add(new ConfigError(pattern, 0, 0, "", "no SLO file matches"));
            files.UnionWith(found);
        }
        if (files.Count > options.FilesMax)
            return new ConfigResult<SloSet>([new ConfigError(folder, 0, 0, "slo_files", $"{files.Count} files match; at most {options.FilesMax} are read")]);
        ConfigResult<SloSet> read = Read(files, options);
        return read.IsOk && warnings.Count > 0 ? new ConfigResult<SloSet>(read.Value with { Warnings = [.. warnings, .. read.Value.Warnings] }) : read;
    }

    /// <summary>Reads these files.</summary>
    public static ConfigResult<SloSet> Read(IEnumerable<string> files, SloFileOptions? options = null)
    {
        var errors = new List<ConfigError>();
        var texts = new List<(string, string)>();
        foreach (string file in files)
        {
            if (ConfigReading.TryReadFile(file, out string text, out ConfigError? unreadable))
                texts.Add((file, text));
            else
                errors.Add(unreadable!);
        }
        ConfigResult<SloSet> parsed = Parse(texts, errors.Count == 0, options);
        return errors.Count == 0 ? parsed : new ConfigResult<SloSet>([.. errors, .. parsed.Errors]);
    }

    /// <summary>Reads these texts, each with its file's name.</summary>
    public static ConfigResult<SloSet> Parse(IReadOnlyList<(string File, string Text)> texts, SloFileOptions? options = null) => Parse(texts, isWhole: true, options);

    /// <param name="texts">What could be read.</param>
    /// <param name="isWhole">Whether these are all. What a document that cannot be read defines is not known: then nothing can be called missing.</param>
    /// <param name="options">How to read.</param>
    private static ConfigResult<SloSet> Parse(IReadOnlyList<(string File, string Text)> texts, bool isWhole, SloFileOptions? options)
    {
        options ??= new SloFileOptions();
        var errors = new List<ConfigError>();
        var warnings = new List<ConfigError>();
        var slos = new List<SloDefinition>();
        var windows = new List<BurnWindows>();
        var openSlo = new OpenSloLibrary();
        int documents = 0;
        foreach ((string file, string text) in texts)
        {
            int before = documents;
            var own = new List<ConfigError>();
            foreach (string document in YamlDocuments.Split(text))
            {
                int good = own.Count;
                ConfigSection root = new ConfigReading(file, null, own).Root(document);
                isWhole &= own.Count == good;
                if (root.IsPresent)
                    ReadDocument(new SloReading(root, documents++, warnings), slos, windows, openSlo);
            }
            errors.AddRange(own.OrderBy(e => e.Line).ThenBy(e => e.Column));
            if (documents == before && own.Count == 0)
                errors.Add(new ConfigError(file, 0, 0, "", "holds no document; write an OpenSLO, Sloth or Pyrra document, or a list 'slos'"));
        }
        if (options.Resolve && errors.Count == 0)
            openSlo.Resolve(slos, warnings, errors);
        else if (options.Resolve && isWhole)
            openSlo.CheckNames(errors);
        CheckIds(slos, errors);
        if (slos.Count > options.SlosMax)
            errors.Add(new ConfigError(texts[0].File, 0, 0, "", $"{slos.Count} objectives; at most {options.SlosMax} are read"));
        return errors.Count > 0
            ? new ConfigResult<SloSet>([.. errors.Take(ConfigReading.MaxErrors)])
            : new ConfigResult<SloSet>(new SloSet { Slos = slos, Windows = windows, Documents = documents, Warnings = warnings });
    }

    private static void ReadDocument(SloReading reading, List<SloDefinition> slos, List<BurnWindows> windows, OpenSloLibrary openSlo)
    {
        ConfigSection root = reading.Root;
        string api = root.Node?.Find("apiVersion")?.Text ?? "", kind = root.Node?.Find("kind")?.Text ?? "";
        if (root.Node?.Find("version") is not null)
            SlothReader.ReadFile(reading, slos);
        else if (api == "openslo/v1alpha")
            OpenSloAlphaReader.Read(reading, slos);
        else if (api.StartsWith("openslo", StringComparison.Ordinal))
            OpenSloReader.Read(reading, openSlo);
        else if (api == "sloth.slok.dev/v1" && kind == "AlertWindows")
            SlothReader.ReadWindows(reading, windows);
        else if (api == "sloth.slok.dev/v1" && kind == "PrometheusServiceLevel")
            SlothReader.ReadObject(reading, slos);
        else if (api == "pyrra.dev/v1alpha1" && kind == "ServiceLevelObjective")
            PyrraReader.Read(reading, slos);
        else if (root.Node?.Find("slos") is not null && api.Length == 0)
            ShortFormReader.Read(reading, slos);
        else
        {
            openSlo.HasNameless = true;
            root.Error(api.Length > 0 ? "apiVersion" : "", api.Length > 0
                ? $"'{api}' with kind '{kind}' is not known; there are: openslo/v1, sloth.slok.dev/v1 (PrometheusServiceLevel, AlertWindows), pyrra.dev/v1alpha1 (ServiceLevelObjective)"
                : "this is no SLO document; it begins with 'apiVersion: openslo/v1', with 'version: prometheus/v1', or holds a list 'slos'");
        }
    }

    private static void CheckIds(List<SloDefinition> slos, List<ConfigError> errors)
    {
        var seen = new Dictionary<string, SloPlace>(StringComparer.Ordinal);
        foreach (SloDefinition slo in slos)
        {
            if (slo.Service.Length == 0 || slo.Name.Length == 0)
                continue;
            if (seen.TryGetValue(slo.Id, out SloPlace? first))
                errors.Add(new ConfigError(slo.Place.File, slo.Place.Line, slo.Place.Column, slo.Place.Path, $"objective '{slo.Name}' of service '{slo.Service}' is there twice; first in {first.File}:{first.Line}"));
            else
                seen.Add(slo.Id, slo.Place);
        }
    }
}
