namespace Bellwether.Evaluate.PromQl.Evaluation;

/// <summary>
/// What all queries of an engine hold in memory together. A query takes from it as it grows, and gives all back at its end; small ones take nothing, so that large ones do not
/// disturb them, and rules are never refused. Thread-safe.
/// </summary>
internal sealed class SampleBudget(long limit)
{
    /// <summary>Samples that each query may hold without taking.</summary>
    public const long Free = 1_000_000;

    // Large pieces: it is asked seldom.
    private const long Piece = 250_000;
    private long _taken;

    public long Limit => limit;

    /// <summary>What queries hold together, beyond what each may hold without taking.</summary>
    public long Taken => Interlocked.Read(ref _taken);

    /// <summary>Raises what a query has taken to what it holds. False: all queries together would hold too much.</summary>
    /// <param name="samples">What it holds.</param>
    /// <param name="taken">What it has taken.</param>
    /// <param name="mayExceed">It takes whatever others hold, so that they wait for it and not it for them.</param>
    public bool TryHold(long samples, ref long taken, bool mayExceed = false)
    {
        long more = samples - Free - taken;
        if (more <= 0)
            return true;
        more = (more + Piece - 1) / Piece * Piece;
        if (Interlocked.Add(ref _taken, more) > limit && !mayExceed)
        {
            Interlocked.Add(ref _taken, -more);
            return false;
        }
        taken += more;
        return true;
    }

    public void GiveBack(ref long taken)
    {
        Interlocked.Add(ref _taken, -taken);
        taken = 0;
    }
}
