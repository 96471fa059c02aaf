using Bellwether.Store.Chunks;

namespace Bellwether.Store.Records;

/// <summary>The counts behind <see cref="StoredLedger"/>. It changes with the log's frames only, and a checkpoint holds it. Not thread-safe.</summary>
internal sealed class RecordLedger
{
    /// <summary>Sources of all agents that are counted one by one; of more, the sums go under the empty name.</summary>
    public const int MaxSources = 100_000;

    private readonly SortedDictionary<string, Agent> _agents = new(StringComparer.Ordinal);
    private int _sources;

    public void Applied(string agent, string source, int intervalMs, long timeMs, long samples, long refused)
    {
        Source into = Find(agent, source);
        into.IntervalMs = intervalMs;
        into.Records++;
        into.Samples += samples;
        into.Refused += refused;
        if (into.Name.Length > 0)
            into.Ranges.Add(timeMs, intervalMs);
    }

    public void Refused(string agent) => Find(agent).RecordsRefused++;

    public IReadOnlyList<StoredLedger> Snapshot(string? only = null)
    {
        if (only is not null)
            return _agents.TryGetValue(only, out Agent? one) ? [Of(only, one)] : [];
        return [.. _agents.Select(a => Of(a.Key, a.Value))];
    }

    /// <summary>Forgets times before the retention; the counts of sources without any stay, under the empty name.</summary>
    public void DropBefore(long timeMs)
    {
        foreach (Agent agent in _agents.Values)
        {
            foreach (Source source in agent.Sources.Values.Where(s => s.Name.Length > 0).ToList())
            {
                source.Ranges.DropBefore(timeMs);
                if (source.Ranges.Ranges.Count > 0)
                    continue;
                agent.Sources.Remove(source.Name);
                _sources--;
                Source rest = Rest(agent);
                rest.Records += source.Records;
                rest.Samples += source.Samples;
                rest.Refused += source.Refused;
            }
        }
    }

    public void Write(ByteWriter into)
    {
        into.Varint((ulong)_agents.Count);
        foreach ((string name, Agent agent) in _agents)
        {
            into.Text(name);
            into.Varint((ulong)agent.RecordsRefused);
            into.Varint((ulong)agent.Sources.Count);
            foreach (Source source in agent.Sources.Values)
            {
                into.Text(source.Name);
                into.Varint((ulong)source.IntervalMs);
                into.Varint((ulong)source.Records);
                into.Varint((ulong)source.Samples);
                into.Varint((ulong)source.Refused);
                into.Varint((ulong)source.Ranges.Ranges.Count);
                foreach (TickRange range in source.Ranges.Ranges)
                {
                    into.Zigzag(range.FirstMs);
                    into.Varint((ulong)(range.LastMs - range.FirstMs));
                    into.Varint((ulong)range.Ticks);
                    into.Varint((ulong)range.IntervalMs);
                }
            }
        }
    }

    public void Read(ref ByteReader from)
    {
        int agents = from.Count(from.Left);
        for (int i = 0; i < agents; i++)
        {
            string name = from.Text(from.Left);
            Agent agent = Find(name);
            agent.RecordsRefused = (long)from.Varint();
            int sources = from.Count(from.Left);
            for (int j = 0; j < sources; j++)
                ReadSource(name, ref from);
        }
    }

    private void ReadSource(string agent, ref ByteReader from)
    {
        Source source = Find(agent, from.Text(from.Left));
        source.IntervalMs = from.Count(int.MaxValue);
        source.Records = (long)from.Varint();
        source.Samples = (long)from.Varint();
        source.Refused = (long)from.Varint();
        int ranges = from.Count(from.Left);
        for (int i = 0; i < ranges; i++)
        {
            long first = from.Zigzag();
            source.Ranges.Restore(new TickRange(first, first + (long)from.Varint(), (long)from.Varint(), from.Count(int.MaxValue)));
        }
    }

    private static StoredLedger Of(string name, Agent agent)
    {
        var sources = new List<StoredSource>(agent.Sources.Count);
        long records = 0, samples = 0, refused = 0;
        foreach (Source s in agent.Sources.Values)
        {
            sources.Add(new StoredSource(s.Name, s.IntervalMs, s.Records, s.Samples, s.Refused, [.. s.Ranges.Ranges]));
            records += s.Records;
            samples += s.Samples;
            refused += s.Refused;
        }
        return new StoredLedger(name, records, samples, refused, agent.RecordsRefused, sources);
    }

    private Agent Find(string agent)
    {
        if (!_agents.TryGetValue(agent, out Agent? found))
            _agents.Add(agent, found = new Agent());
        return found;
    }

    private Source Find(string agent, string source)
    {
        Agent into = Find(agent);
        if (into.Sources.TryGetValue(source, out Source? found))
            return found;
        if (_sources >= MaxSources || source.Length == 0)
            return Rest(into);
        _sources++;
        into.Sources.Add(source, found = new Source(source));
        return found;
    }

    private static Source Rest(Agent agent)
    {
        if (!agent.Sources.TryGetValue("", out Source? rest))
            agent.Sources.Add("", rest = new Source(""));
        return rest;
    }

    private sealed class Agent
    {
        public long RecordsRefused { get; set; }

        public SortedDictionary<string, Source> Sources { get; } = new(StringComparer.Ordinal);
    }

    private sealed class Source(string name)
    {
        public string Name => name;

        public int IntervalMs { get; set; }

        public long Records { get; set; }

        public long Samples { get; set; }

        public long Refused { get; set; }

        public TickRanges Ranges { get; } = new();
    }
}
