namespace Bellwether.Store.Head;

/// <summary>
/// Which agent brought each series in memory: the first one that sent it, for as long as it is in memory. Series have its number, so that it takes them no memory.
/// What came another way (remote write, rules, an import) is nobody's until an agent sends it, too. Under the head's lock.
/// </summary>
internal sealed class SeriesSenders
{
    private readonly Dictionary<string, ushort> _numbers = new(StringComparer.Ordinal);
    // Number 0 is nobody's.
    private readonly List<(string Agent, int Series)> _senders = [("", 0)];
    private readonly Stack<ushort> _free = new();

    /// <summary>The agents that have series in memory.</summary>
    public IEnumerable<NamedCount> Counts
    {
        get
        {
            foreach (ushort number in _numbers.Values)
                yield return new NamedCount(_senders[number].Agent, _senders[number].Series);
        }
    }

    /// <summary>Series in memory that an agent brought.</summary>
    public int Count(string agent) => _numbers.TryGetValue(agent, out ushort number) ? _senders[number].Series : 0;

    /// <summary>The agent that brought a series; empty: nobody.</summary>
    public string Of(HeadSeries series) => _senders[series.Sender].Agent;

    /// <summary>A series that is nobody's is an agent's from now on. Of more agents at a time than 65,535 it stays nobody's.</summary>
    public void Give(HeadSeries series, string agent)
    {
        if (!_numbers.TryGetValue(agent, out ushort number))
        {
            if (_free.TryPop(out number))
            {
                _senders[number] = (agent, 0);
            }
            else
            {
                if (_senders.Count > ushort.MaxValue)
                    return;
                number = (ushort)_senders.Count;
                _senders.Add((agent, 0));
            }
            _numbers.Add(agent, number);
        }
        _senders[number] = (agent, _senders[number].Series + 1);
        series.Sender = number;
    }

    /// <summary>A series is not in memory any more.</summary>
    public void Take(HeadSeries series)
    {
        ushort number = series.Sender;
        if (number == 0)
            return;
        series.Sender = 0;
        (string agent, int count) = _senders[number];
        _senders[number] = (agent, count - 1);
        if (count > 1)
            return;
        // Agents come and go: a number is used again.
        _numbers.Remove(agent);
        _senders[number] = ("", 0);
        _free.Push(number);
    }

    /// <summary>Forgets everything, during opening only.</summary>
    public void Clear()
    {
        _numbers.Clear();
        _senders.RemoveRange(1, _senders.Count - 1);
        _free.Clear();
    }
}
