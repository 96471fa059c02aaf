using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Evaluate.PromQl.Evaluation;

// What other queries that are asked at the same time evaluate, too (ConcurrentParts).
internal sealed partial class Evaluator
{
    /// <summary>How often one that waits for another looks whether its own time is over.</summary>
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentParts? _parts;
    private readonly IChangeLog? _changes;
    private readonly long _begun;

    /// <summary>Lets it share parts with what is evaluated at the same time; made before it reads.</summary>
    public ConcurrentParts? Parts
    {
        init
        {
            _changes = _reader as IChangeLog;
            _parts = _changes is null || !_isRange ? null : value;
            _begun = _parts?.Begin() ?? 0;
        }
    }

    private bool MayShareNow(Expr expr) => _parts is not null && !_detectsResets && SharedEvaluation.IsWork(expr);

    private EvalValue? EvalTogether(Expr expr, Grid grid)
    {
        var key = new PartKey(_reader, ConcurrentParts.TextOf(expr), grid, _query);
        while (true)
        {
            Part part = _parts!.Join(key, _begun, PromQlEngine.ReachOf(expr, grid.EndMs, _changes!), _changes!, out bool isOwn);
            if (isOwn)
                return EvalForAll(expr, grid, key, part);
            if (!WaitFor(part, expr))
                return null;
            if (part.Value is { } value)
            {
                _parts.Took();
                return Account(value.Samples, expr) ? value : null;
            }
            if (!part.IsGivenUp)
                return EvalCounted(expr, grid);
            // Whoever evaluated it ended for a reason of its own: the next one does.
        }
    }

    private EvalValue? EvalForAll(Expr expr, Grid grid, in PartKey key, Part part)
    {
        long notes = _notes.Given;
        EvalValue? value = null;
        try
        {
            value = EvalCounted(expr, grid);
        }
        finally
        {
            // An exception, too, ends the waiting of the others.
            if (value is null)
                _parts!.GiveUp(key, part);
            else
                _parts!.Done(key, part, notes == _notes.Given && !IsPartial ? value : null);
        }
        return value;
    }

    private bool WaitFor(Part part, Expr expr)
    {
        while (!part.Wait(s_look, _deadline.Cancellation))
        {
            if (Stopped(expr))
                return false;
        }
        return true;
    }
}
