using System.Globalization;
using Bellwether.Bench.Query;

namespace Bellwether.Bench.Codec;

/// <summary>Series that share their times, to be encoded: of the benches' generator, or of scrapes.</summary>
/// <param name="Name">What they are.</param>
/// <param name="Times">Unix ms.</param>
/// <param name="Keys">A name for each series, ascending by UTF-16.</param>
/// <param name="Values">Per series as many as there are times.</param>
internal sealed record Recording(string Name, long[] Times, string[] Keys, double[][] Values)
{
    public long Samples => (long)Times.Length * Values.Length;

    /// <summary>The benches' history of 650 series, each 30 s.</summary>
    public static Recording OfGenerator(TimeSpan length)
    {
        const long EndMs = 1_760_000_400_000;
        var history = new History(EndMs, length, TimeSpan.FromSeconds(30));
        var times = new long[history.Ticks];
        var values = new double[history.Series][];
        for (int s = 0; s < values.Length; s++)
            values[s] = new double[times.Length];
        for (int t = 0; t < times.Length; t++)
        {
            times[t] = history.EndMs - ((times.Length - t) * history.IntervalMs) + 7_000;
            ReadOnlySpan<double> tick = history.Tick();
            for (int s = 0; s < values.Length; s++)
                values[s][t] = tick[s];
        }
        return new Recording(string.Create(CultureInfo.InvariantCulture, $"generator, {length.TotalDays:0.##} days at 30 s"), times, [.. Enumerable.Range(0, values.Length).Select(static s => s.ToString("D6", CultureInfo.InvariantCulture))], values);
    }

    /// <summary>Files of exposition text, in the order of their names; a name that is a number is the time of its scrape in Unix ms, else they are 15 s apart. Series that one of them lacks are left out.</summary>
    public static Recording OfFolder(string folder)
    {
        string[] files = [.. Directory.EnumerateFiles(folder, "*.txt").Order(StringComparer.Ordinal)];
        var scrapes = new List<(long TimeMs, string Text)>();
        foreach (string file in files)
            scrapes.Add((long.TryParse(Path.GetFileNameWithoutExtension(file), CultureInfo.InvariantCulture, out long timeMs) ? timeMs : 15_000L * scrapes.Count, File.ReadAllText(file)));
        return OfScrapes(string.Create(CultureInfo.InvariantCulture, $"{files.Length} scrapes of {folder}"), scrapes);
    }

    /// <summary>Scrapes a target each second.</summary>
    public static async Task<Recording> OfTargetAsync(Uri url, int scrapes, TimeProvider time, CancellationToken cancel)
    {
        using var client = new HttpClient();
        var taken = new List<(long TimeMs, string Text)>();
        while (taken.Count < scrapes)
        {
            taken.Add((time.GetUtcNow().ToUnixTimeMilliseconds(), await client.GetStringAsync(url, cancel)));
            await Task.Delay(TimeSpan.FromSeconds(1), time, cancel);
        }
        return OfScrapes(string.Create(CultureInfo.InvariantCulture, $"{scrapes} scrapes of {url}"), taken);
    }

    private static Recording OfScrapes(string name, List<(long TimeMs, string Text)> scrapes)
    {
        var columns = new SortedDictionary<string, List<double>>(StringComparer.Ordinal);
        for (int t = 0; t < scrapes.Count; t++)
        {
            foreach (string line in scrapes[t].Text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            {
                if (line[0] == '#' || !TrySplit(line, out string? key, out double value))
                    continue;
                if (!columns.TryGetValue(key, out List<double>? column))
                    columns.Add(key, column = []);
                if (column.Count == t)
                    column.Add(value);
            }
        }
        KeyValuePair<string, List<double>>[] whole = [.. columns.Where(c => c.Value.Count == scrapes.Count)];
        return whole.Length == 0
            ? throw new InvalidDataException($"{name}: no series is in all scrapes")
            : new Recording(name, [.. scrapes.Select(static s => s.TimeMs)], [.. whole.Select(static c => c.Key)], [.. whole.Select(static c => c.Value.ToArray())]);
    }

    private static bool TrySplit(string line, out string key, out double value)
    {
        int end = line.LastIndexOf('}') + 1;
        if (end == 0)
            end = Math.Max(0, line.IndexOf(' ', StringComparison.Ordinal));
        key = line[..end];
        string text = line[end..].Trim().Split(' ')[0];
        value = text switch { "+Inf" => double.PositiveInfinity, "-Inf" => double.NegativeInfinity, _ => 0 };
        return value != 0 || double.TryParse(text, CultureInfo.InvariantCulture, out value);
    }
}
