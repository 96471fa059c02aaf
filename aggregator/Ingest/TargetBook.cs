using Bellwether.V1;

namespace Bellwether.Ingest;

/// <summary>What is known of one agent's targets. Immutable.</summary>
/// <param name="Agent">The agent's id.</param>
/// <param name="Connected">Whether it is connected: otherwise this is what it said last.</param>
/// <param name="Active">Its targets with the time of each one's newest tick (Unix ms; 0: none).</param>
/// <param name="Dropped">What its rules dropped, by pool.</param>
public sealed record AgentTargets(string Agent, bool Connected, IReadOnlyList<(Target Target, long NewestMs)> Active, IReadOnlyList<DroppedTargets> Dropped);

/// <summary>The targets of one agent as it told them, within bounds. Not thread-safe: the fleet's lock covers it.</summary>
internal sealed class TargetBook
{
    private readonly Dictionary<string, Target> _active = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DroppedTargets> _dropped = new(StringComparer.Ordinal);
    private long _bytes;

    /// <summary>Takes a message; what is beyond the bounds is left out. Returns the names of the targets that were there before and are not any more.</summary>
    public IReadOnlyList<string> Take(Targets message, IngestOptions options)
    {
        List<string> gone = [.. message.Restart ? _active.Keys : message.Removed.Where(_active.ContainsKey)];
        if (message.Restart)
        {
            _active.Clear();
            _dropped.Clear();
            _bytes = 0;
        }
        foreach (string name in message.Removed)
            Remove(_active, name);
        foreach (Target target in message.Changed)
            Set(_active, target.Name, target, target.CalculateSize(), options);
        foreach (DroppedTargets dropped in message.Dropped)
        {
            Remove(_dropped, dropped.Pool);
            if (dropped.Count > 0)
                Set(_dropped, dropped.Pool, dropped, dropped.CalculateSize(), options);
        }
        gone.RemoveAll(_active.ContainsKey);
        return gone;
    }

    public AgentTargets Snapshot(string agent, bool connected, Func<string, long> newestOf) =>
        new(agent, connected, [.. _active.Values.Select(t => (t, newestOf(t.Name)))], [.. _dropped.Values]);

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> LabelsBySource() =>
        _active.Values.ToDictionary(t => t.Name, t => (IReadOnlyDictionary<string, string>)new Dictionary<string, string>(t.Labels), StringComparer.Ordinal);

    private void Set<T>(Dictionary<string, T> book, string name, T value, int size, IngestOptions options)
        where T : Google.Protobuf.IMessage
    {
        Remove(book, name);
        if (book.Count >= options.MaxTargetsPerAgent || _bytes + size > options.MaxTargetBytesPerAgent)
            return;
        book[name] = value;
        _bytes += size;
    }

    private void Remove<T>(Dictionary<string, T> book, string name)
        where T : Google.Protobuf.IMessage
    {
        if (book.Remove(name, out T? old))
            _bytes -= old.CalculateSize();
    }
}
