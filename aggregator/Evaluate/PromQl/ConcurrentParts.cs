using System.Runtime.CompilerServices;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Evaluation;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl;

/// <summary>
/// What different range queries that are asked at the same time have in common: aggregations and functions of equal text over the same times, which the first evaluates and the others take. A query
/// takes what was begun after it began itself, or what no sample has come into the reach of since: so each sees all that was acknowledged before it was asked, and what is kept of its result holds. A part waits only for
/// parts that are smaller than it, so never in a circle. What gives annotations, is partial or fails is not shared: each evaluates that for itself. Thread-safe.
/// </summary>
/// <param name="maxPoints">Points that are kept at most for queries that go on (<see cref="EngineOptions.MaxSharedPoints"/>). What is beyond goes only to those that wait for it already.</param>
internal sealed class ConcurrentParts(long maxPoints)
{
    /// <summary>Parts that are remembered at most; more are evaluated by each for itself.</summary>
    public const int MaxParts = 10_000;

    private static readonly ConditionalWeakTable<Expr, string> s_texts = [];

    private readonly Lock _gate = new();
    private readonly SortedSet<long> _asked = [];
    private readonly Dictionary<PartKey, Part> _parts = [];
    private long _next;
    private long _points;
    private long _shared;

    /// <summary>Values that were taken instead of evaluated.</summary>
    public long Shared => Interlocked.Read(ref _shared);

    /// <summary>Parts that are remembered now, those under way included.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _parts.Count;
        }
    }

    /// <summary>Whether more than one query is asked now.</summary>
    public bool AreSeveralAsked
    {
        get
        {
            lock (_gate)
                return _asked.Count > 1;
        }
    }

    /// <summary>A query is asked: its number, which <see cref="Leave"/> takes back when it is over. What is done meanwhile is kept for it.</summary>
    public long Enter()
    {
        lock (_gate)
        {
            _asked.Add(++_next);
            return _next;
        }
    }

    /// <summary>A query is over. What was done before any query that goes on was asked is forgotten.</summary>
    public void Leave(long query)
    {
        lock (_gate)
        {
            bool wasOldest = _asked.Min == query;
            _asked.Remove(query);
            if (!wasOldest || _parts.Count == 0)
                return;
            long oldest = _asked.Count == 0 ? long.MaxValue : _asked.Min;
            foreach ((PartKey key, Part part) in _parts)
            {
                if (part.DoneAt < oldest)
                    Remove(key, part);
            }
        }
    }

    /// <summary>An evaluation begins, and has read nothing yet: the number that says what was begun after it.</summary>
    public long Begin()
    {
        lock (_gate)
            return ++_next;
    }

    /// <summary>What stands for an expression: someone else's, or a new one that the caller has to evaluate and end (<see cref="Done"/>, <see cref="GiveUp"/>).</summary>
    /// <param name="key">What is asked for.</param>
    /// <param name="begun">The number of the evaluation that asks (<see cref="Begin"/>).</param>
    /// <param name="reachMs">The newest time that the expression reads; null: changes do not tell.</param>
    /// <param name="changes">Tells what came since.</param>
    /// <param name="isOwn">Whether it is new.</param>
    public Part Join(in PartKey key, long begun, long? reachMs, IChangeLog changes, out bool isOwn)
    {
        while (true)
        {
            Part? known;
            lock (_gate)
                _parts.TryGetValue(key, out known);
            // Asks the store, which may be writing: others must not stand at the gate meanwhile.
            bool mayTake = known is not null && (known.BegunAt >= begun || (reachMs is { } reach && changes.OldestChangeSince(known.Mark) > reach));
            long mark = mayTake ? 0 : changes.TakeMark();
            lock (_gate)
            {
                _parts.TryGetValue(key, out Part? part);
                isOwn = part == known && !mayTake;
                if (isOwn)
                {
                    if (part is not null)
                        Remove(key, part);
                    var own = new Part(++_next, mark);
                    if (_parts.Count < MaxParts)
                        _parts.Add(key, own);
                    return own;
                }
                if (part is not null && part == known)
                    return part;
            }
            // Another one came, or it went: look again.
        }
    }

    /// <summary>A part of one's own is evaluated. Null: it cannot be shared, and who waits evaluates it.</summary>
    public void Done(in PartKey key, Part part, EvalValue? value)
    {
        long points = value?.Samples ?? 0;
        lock (_gate)
        {
            part.DoneAt = _next;
            bool isKept = _parts.TryGetValue(key, out Part? known) && known == part;
            // Who asks later finds it only if there is room, and if a query is asked now that may still want it.
            if (isKept && (_points + points > maxPoints || _asked.Count == 0))
                _parts.Remove(key);
            else if (isKept)
                _points += part.Points = points;
        }
        part.End(value, isGivenUp: false);
    }

    /// <summary>Whoever evaluated a part ended without it (its own limit, its own end): the next one who wants it evaluates it.</summary>
    public void GiveUp(in PartKey key, Part part)
    {
        lock (_gate)
        {
            if (_parts.TryGetValue(key, out Part? known) && known == part)
                _parts.Remove(key);
        }
        part.End(null, isGivenUp: true);
    }

    /// <summary>A value of another query was taken.</summary>
    public void Took() => Interlocked.Increment(ref _shared);

    /// <summary>The canonical text of an expression, made once as long as the expression lives.</summary>
    public static string TextOf(Expr expr) => s_texts.GetValue(expr, static e => e.ToString());

    private void Remove(in PartKey key, Part part)
    {
        _parts.Remove(key);
        _points -= part.Points;
        part.Points = 0;
    }
}

/// <summary>What makes two parts of queries the same: the data, the text, the times, and the times of the whole query, which <c>start()</c> and its like ask for.</summary>
internal readonly record struct PartKey(ISeriesReader Reader, string Text, Grid Grid, Grid Query);

/// <summary>A part of queries that is evaluated once, under way or done.</summary>
/// <param name="begunAt">Its number: larger than that of each evaluation that had begun before it.</param>
/// <param name="mark">What was stored then.</param>
internal sealed class Part(long begunAt, long mark)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile EvalValue? _value;
    private volatile bool _isGivenUp;

    /// <summary>Its number: an evaluation with a smaller one had begun before, so that it may take whatever is in this.</summary>
    public long BegunAt { get; } = begunAt;

    /// <summary>What was stored when it was begun.</summary>
    public long Mark { get; } = mark;

    /// <summary>The newest number when it was done; under way <see cref="long.MaxValue"/>.</summary>
    public long DoneAt { get; set; } = long.MaxValue;

    /// <summary>Points that count as kept.</summary>
    public long Points { get; set; }

    /// <summary>The value, once it ended; null: there is none to share.</summary>
    public EvalValue? Value => _value;

    /// <summary>Whether it ended because of who evaluated it, not because of what it is.</summary>
    public bool IsGivenUp => _isGivenUp;

    /// <summary>Waits for the end; false: not yet.</summary>
    public bool Wait(TimeSpan time, CancellationToken cancellation) => _ended.Task.Wait(time, cancellation);

    public void End(EvalValue? value, bool isGivenUp)
    {
        (_value, _isGivenUp) = (value, isGivenUp);
        _ended.SetResult();
    }
}
