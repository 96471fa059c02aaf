using Bellwether.V1;

namespace Bellwether.Agent.Stream;

/// <summary>How one target stands.</summary>
/// <param name="Name">Name of its source.</param>
/// <param name="Identity">What it is: another object, another description.</param>
/// <param name="Health"><c>unknown</c>, <c>up</c> or <c>down</c>.</param>
/// <param name="Error">Why it is down, or empty.</param>
/// <param name="Describe">Makes the message with everything in it; called for targets that changed only.</param>
internal readonly record struct TargetFact(string Name, object Identity, string Health, string Error, Func<Target> Describe);

/// <summary>What the session tells of targets. Thread-safe.</summary>
internal interface ITargetFacts
{
    /// <summary>Adds how every target stands now.</summary>
    void List(List<TargetFact> into);

    /// <summary>The dropped targets by pool; the same list object as long as nothing changed.</summary>
    IReadOnlyList<DroppedTargets> Dropped { get; }
}

/// <summary>Finds what one session has not told yet of the targets: everything at first, then only changes of the set, of a health or of a reason. Not thread-safe.</summary>
internal sealed class TargetTeller(ITargetFacts facts)
{
    /// <summary>How often targets are looked at for changes.</summary>
    public const long LookIntervalMs = 2_000;

    /// <summary>The most targets that are told; more are only in the series.</summary>
    public const int TargetsMax = 10_000;

    /// <summary>Bytes of one message, but for its last target.</summary>
    public const int MessageBytesMax = 128 * 1024;

    /// <summary>The longest text of one value, in characters.</summary>
    public const int TextMax = 1_024;

    private readonly Dictionary<string, (object Identity, string Health, string Error)> _told = new(StringComparer.Ordinal);
    private readonly List<TargetFact> _now = [];
    private readonly HashSet<string> _there = new(StringComparer.Ordinal);
    private IReadOnlyList<DroppedTargets>? _droppedTold;
    private bool _started;
    private long _nextMs;

    /// <summary>The next message, or null when everything is told or it is too early to look again.</summary>
    public AgentMessage? Next(long nowMs)
    {
        if (nowMs < _nextMs)
            return null;
        _now.Clear();
        facts.List(_now);
        var message = new Targets { Restart = !_started };
        bool more = Changes(message);
        Removals(message);
        IReadOnlyList<DroppedTargets> dropped = facts.Dropped;
        if (!ReferenceEquals(dropped, _droppedTold))
        {
            message.Dropped.AddRange(dropped);
            // A pool that is gone has nothing dropped any more.
            foreach (DroppedTargets old in _droppedTold ?? [])
            {
                if (dropped.All(d => d.Pool != old.Pool))
                    message.Dropped.Add(new DroppedTargets { Pool = old.Pool });
            }
            _droppedTold = dropped;
        }
        _nextMs = more ? nowMs : nowMs + LookIntervalMs;
        if (_started && message.Changed.Count + message.Removed.Count + message.Dropped.Count == 0)
            return null;
        _started = true;
        return new AgentMessage { Targets = message };
    }

    /// <summary>Adds what changed as long as there is room; true: there is more.</summary>
    private bool Changes(Targets message)
    {
        int bytes = 0;
        _there.Clear();
        bool more = false;
        foreach (TargetFact fact in _now)
        {
            if (_there.Count == TargetsMax)
                break;
            _there.Add(fact.Name);
            if (_told.TryGetValue(fact.Name, out (object Identity, string Health, string Error) told)
                && ReferenceEquals(told.Identity, fact.Identity) && told.Health == fact.Health && told.Error == fact.Error)
                continue;
            if (bytes >= MessageBytesMax)
            {
                more = true;
                continue;
            }
            Target target = fact.Describe();
            bytes += target.CalculateSize();
            message.Changed.Add(target);
            _told[fact.Name] = (fact.Identity, fact.Health, fact.Error);
        }
        return more;
    }

    private void Removals(Targets message)
    {
        foreach (string name in _told.Keys)
        {
            if (!_there.Contains(name))
                message.Removed.Add(name);
        }
        foreach (string name in message.Removed)
            _told.Remove(name);
    }
}
