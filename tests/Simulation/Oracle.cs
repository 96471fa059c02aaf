using Bellwether.Core.Model;
using Bellwether.Store;

namespace Bellwether.Simulation;

/// <summary>
/// What must be true at the end, kept outside of everything that crashes: which ticks are sure (the spool said durable), which may or may not have been kept, and for each
/// the values that its samples must have. Not thread-safe.
/// </summary>
internal sealed class Oracle
{
    public const int SeriesPerSource = 3;
    private readonly Dictionary<(string Source, long TimeMs), bool> _ticks = [];

    /// <summary>Ticks that the spool said are durable.</summary>
    public int Sure { get; private set; }

    /// <summary>Sure ticks that the last comparison did not find, for people.</summary>
    public List<string> Gone { get; } = [];

    /// <summary>The value of a series at a time: nothing else may ever be read there.</summary>
    public static double ValueOf(string source, int series, long timeMs)
    {
        ulong h = 14695981039346656037;
        foreach (char c in source)
            h = (h ^ c) * 1099511628211;
        h = (h ^ (ulong)series) * 1099511628211;
        // The first series changes slowly, the last is no integer: every code of values has its turn.
        h = (h ^ (ulong)(timeMs / (series == 0 ? 60_000 : 1))) * 1099511628211;
        h ^= h >> 29;
        return series == 2 ? (h % 1_000_003) / 7.0 : h % 100_000;
    }

    /// <summary>A time not used yet by a source, at or after a time: a clock that went back makes no two samples of one moment.</summary>
    public long FreeTime(string source, long timeMs)
    {
        while (_ticks.ContainsKey((source, timeMs)))
            timeMs++;
        return timeMs;
    }

    /// <summary>A tick was handed to a spool: until it says durable, a crash may keep it or not.</summary>
    public void Produced(string source, long timeMs)
    {
        _ticks[(source, timeMs)] = false;
        NewestMs = Math.Max(NewestMs, timeMs);
    }

    /// <summary>The newest time of any tick.</summary>
    public long NewestMs { get; private set; }

    /// <summary>It is durable at the agent.</summary>
    public void Durable(string source, long timeMs)
    {
        _ticks[(source, timeMs)] = true;
        Sure++;
    }

    /// <summary>The spool of some sources was lost: what the store does not hold may never come. Returns how many ticks that are.</summary>
    public int SpoolLost(string physicalAgent, StoreEngine store)
    {
        Dictionary<string, HashSet<long>> stored = Read(store, out _);
        int gone = 0;
        foreach (((string source, long time), bool sure) in _ticks.ToArray())
        {
            if (!sure || !source.StartsWith(physicalAgent + "/", StringComparison.Ordinal) || (stored.TryGetValue(source + "#0", out HashSet<long>? times) && times.Contains(time)))
                continue;
            _ticks[(source, time)] = false;
            gone++;
        }
        Sure -= gone;
        return gone;
    }

    /// <summary>Compares the store with what must be in it. Returns the samples stored by physical agent and those missing that were sure.</summary>
    public (Dictionary<string, long> Stored, Dictionary<string, long> Missing) Compare(StoreEngine store)
    {
        Dictionary<string, HashSet<long>> stored = Read(store, out Dictionary<string, long> counts);
        var missing = new Dictionary<string, long>();
        Gone.Clear();
        foreach (((string source, long time), bool sure) in _ticks)
        {
            int there = 0;
            for (int s = 0; s < SeriesPerSource; s++)
            {
                if (stored.TryGetValue($"{source}#{s}", out HashSet<long>? times) && times.Contains(time))
                    there++;
            }
            if (there is not (0 or SeriesPerSource))
                throw new ViolationException($"of the tick {source} at {time} only {there} of {SeriesPerSource} samples are stored");
            if (sure && there == 0)
            {
                Gone.Add($"{source} at {time}");
                missing[AgentOf(source)] = missing.GetValueOrDefault(AgentOf(source)) + SeriesPerSource;
            }
        }
        return (counts, missing);
    }

    /// <summary>Whether all samples of a tick are stored.</summary>
    public static bool IsStored(StoreEngine store, string source, long timeMs)
    {
        using ISeriesSet set = store.Reader.Select(timeMs, timeMs, [new LabelMatcher(Core.Model.MatchType.Equal, "source", source)], CancellationToken.None);
        var buffer = new SampleBuffer();
        int found = 0;
        for (int i = 0; i < set.Count; i++)
        {
            set.Read(i, buffer);
            found += buffer.Count;
        }
        return found == SeriesPerSource;
    }

    private Dictionary<string, HashSet<long>> Read(StoreEngine store, out Dictionary<string, long> counts)
    {
        var stored = new Dictionary<string, HashSet<long>>();
        counts = [];
        using ISeriesSet set = store.Reader.Select(long.MinValue / 4, long.MaxValue / 4, [new LabelMatcher(Core.Model.MatchType.Equal, "__name__", "sim")], CancellationToken.None);
        var buffer = new SampleBuffer();
        for (int i = 0; i < set.Count; i++)
        {
            string source = set.LabelsAt(i).Get("source");
            int series = int.Parse(set.LabelsAt(i).Get("series"), System.Globalization.CultureInfo.InvariantCulture);
            set.Read(i, buffer);
            var times = new HashSet<long>();
            for (int k = 0; k < buffer.Count; k++)
            {
                long time = buffer.Times[k];
                if (!_ticks.ContainsKey((source, time)))
                    throw new ViolationException($"{source} series {series}: a sample at {time} that nobody produced");
                double expected = ValueOf(source, series, time);
                if (!buffer.Values[k].Equals(expected))
                    throw new ViolationException($"{source} series {series} at {time}: stored {buffer.Values[k]}, produced {expected}");
                if (!times.Add(time))
                    throw new ViolationException($"{source} series {series}: the sample at {time} is stored twice");
            }
            if (!stored.TryAdd($"{source}#{series}", times))
                throw new ViolationException($"{source} series {series} is there twice");
            counts[AgentOf(source)] = counts.GetValueOrDefault(AgentOf(source)) + times.Count;
        }
        return stored;
    }

    private static string AgentOf(string source) => source[..source.IndexOf('/')];
}
