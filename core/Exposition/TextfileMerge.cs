using Bellwether.Core.Model;

namespace Bellwether.Core.Exposition;

/// <summary>One textfile.</summary>
/// <param name="Path">Where it lies, as it is to be shown.</param>
/// <param name="Body">Its content; null when it could not be read.</param>
/// <param name="ModifiedSeconds">When it was last written, Unix seconds.</param>
public sealed record Textfile(string Path, byte[]? Body, double ModifiedSeconds);

/// <summary>
/// Merges textfiles (*.prom) into one set of families as node_exporter's textfile collector does: a family may be spread over files, help texts must agree, times of
/// samples are refused with their whole file, label sets of a family are filled up to the same names. Stateless.
/// </summary>
public static class TextfileMerge
{
    private const string ErrorName = "node_textfile_scrape_error";
    private const string ModifiedName = "node_textfile_mtime_seconds";

    /// <summary>Merges files in the order given. <paramref name="failed"/>: something besides was wrong (a folder is missing).</summary>
    /// <param name="files">The files.</param>
    /// <param name="failed">Sets the error gauge from the start.</param>
    /// <param name="errors">Files refused and families that disagree, in words.</param>
    public static List<ExposedFamily> Merge(IReadOnlyList<Textfile> files, bool failed, out List<string> errors)
    {
        errors = [];
        var merged = new SortedDictionary<string, Merging>(StringComparer.Ordinal);
        var modified = new List<ExposedSample>();
        foreach (Textfile file in files)
        {
            if (ReadOne(file, errors) is not { } families)
                continue;
            modified.Add(new ExposedSample(ModifiedName, [new Label("file", file.Path)], file.ModifiedSeconds));
            foreach (ExposedFamily family in families.Where(f => f.Samples.Count > 0))
                Add(merged, family, file.Path, errors);
        }
        List<ExposedFamily> result = [.. merged.Values.Select(m => m.ToFamily())];
        if (modified.Count > 0)
            result.Add(new ExposedFamily(ModifiedName, MetricType.Gauge, "Unixtime mtime of textfiles successfully read.", "", modified));
        double error = failed || errors.Count > 0 ? 1 : 0;
        result.Add(new ExposedFamily(ErrorName, MetricType.Gauge, "1 if there was an error opening or reading a file, 0 otherwise", "", [new ExposedSample(ErrorName, [], error)]));
        result.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        return result;
    }

    private static List<ExposedFamily>? ReadOne(Textfile file, List<string> errors)
    {
        if (file.Body is null)
        {
            errors.Add($"{file.Path}: cannot be read");
            return null;
        }
        if (FamilyReader.Read(file.Body, ExpositionFormat.PrometheusText, out List<ExposedFamily> families) is { } error)
        {
            errors.Add($"{file.Path}: {error}");
            return null;
        }
        if (!families.Any(f => f.Samples.Any(s => s.TimestampSeconds is not null)))
            return families;
        errors.Add($"{file.Path}: samples with timestamps are not taken from textfiles");
        return null;
    }

    private static void Add(SortedDictionary<string, Merging> merged, ExposedFamily family, string path, List<string> errors)
    {
        if (!merged.TryGetValue(family.Name, out Merging? into))
            merged.Add(family.Name, into = new Merging(family));
        if (into.Help != family.Help || into.Type != family.Type)
        {
            errors.Add($"{path}: HELP or TYPE of {family.Name} differ from those of {into.Paths[0]}; its samples are dropped");
            return;
        }
        if (!into.Paths.Contains(path))
            into.Paths.Add(path);
        into.Samples.AddRange(family.Samples);
    }

    private sealed class Merging(ExposedFamily first)
    {
        public string Help { get; } = first.Help;

        public MetricType Type { get; } = first.Type;

        public List<string> Paths { get; } = [];

        public List<ExposedSample> Samples { get; } = [];

        public ExposedFamily ToFamily()
        {
            string? own = Type == MetricType.Histogram ? LabelNames.Bucket : Type == MetricType.Summary ? LabelNames.Quantile : null;
            List<string> names = [.. Samples.SelectMany(s => s.Labels).Select(l => l.Name).Where(n => n != own).Distinct().Order(StringComparer.Ordinal)];
            var metrics = new SortedDictionary<string, List<ExposedSample>>(StringComparer.Ordinal);
            foreach (ExposedSample sample in Samples)
            {
                List<Label> labels = [.. names.Select(n => new Label(n, Get(sample, n)))];
                string key = string.Join('\u0001', labels.Select(l => l.Value));
                if (own is not null && sample.Labels.Any(l => l.Name == own))
                    labels.Add(new Label(own, Get(sample, own)));
                if (!metrics.TryGetValue(key, out List<ExposedSample>? metric))
                    metrics.Add(key, metric = []);
                metric.Add(sample with { Labels = labels });
            }
            foreach (List<ExposedSample> metric in metrics.Values)
                Complete(metric, own);
            string help = Help.Length > 0 ? Help : $"Metric read from {string.Join(", ", Paths)}";
            return new ExposedFamily(first.Name, Type, help, "", [.. metrics.Values.SelectMany(m => m)]);
        }

        /// <summary>A summary or histogram always has a sum and a count.</summary>
        private void Complete(List<ExposedSample> metric, string? own)
        {
            if (own is null)
                return;
            List<Label> labels = [.. metric[0].Labels.Where(l => l.Name != own)];
            foreach (string suffix in (ReadOnlySpan<string>)["_sum", "_count"])
            {
                if (!metric.Any(s => s.Name == first.Name + suffix))
                    metric.Add(new ExposedSample(first.Name + suffix, labels, 0));
            }
        }

        private static string Get(ExposedSample sample, string name)
        {
            foreach (Label label in sample.Labels)
            {
                if (label.Name == name)
                    return label.Value;
            }
            return "";
        }
    }
}
