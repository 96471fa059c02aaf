using Bellwether.Core.Model;

namespace Bellwether.Evaluate.PromQl;

/// <summary>What became of a query that was asked through <see cref="ConcurrentQueries"/>.</summary>
/// <param name="Result">The result; null: too many queries run or wait, this one was not evaluated.</param>
/// <param name="Waited">How long its evaluation waited for a place.</param>
/// <param name="HasBegun">Whether its evaluation had begun when the answer was given.</param>
public sealed record ConcurrentAnswer(QueryResult? Result, TimeSpan Waited, bool HasBegun = true);

/// <summary>
/// Evaluates equal queries that are asked at the same time once: who asks what another one waits for gets the same result. A query joins an evaluation that has not begun to read, or in whose
/// reach no sample came, changed or went since it began: so each sees all that was acknowledged before it was asked. An evaluation ends early only when nobody waits for it any more.
/// Thread-safe.
/// </summary>
/// <param name="engine">Evaluates.</param>
/// <param name="reader">The data.</param>
/// <param name="places">How many run at once.</param>
/// <param name="maxWaiters">How many may be asked at once, those that join others included; more get no result.</param>
/// <param name="time">Measures the waiting.</param>
public sealed class ConcurrentQueries(PromQlEngine engine, ISeriesReader reader, IQueryPlaces places, int maxWaiters, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<Question, Evaluation> _running = [];
    private int _waiters;
    private long _shared;

    /// <summary>Queries that joined the evaluation of another one.</summary>
    public long Shared => Interlocked.Read(ref _shared);

    /// <summary>As <see cref="PromQlEngine.Instant(ISeriesReader, string, long, CancellationToken)"/>. When the caller stops waiting the answer is <see cref="QueryErrorKind.Canceled"/>.</summary>
    public Task<ConcurrentAnswer> InstantAsync(string query, long timeMs, CancellationToken cancellation, AskOptions ask = default) =>
        AskAsync(new Question(query, timeMs, timeMs, 0, engine.Normal(ask)), cancellation);

    /// <summary>As <see cref="PromQlEngine.Range(ISeriesReader, string, long, long, long, CancellationToken)"/>. When the caller stops waiting the answer is <see cref="QueryErrorKind.Canceled"/>.</summary>
    public Task<ConcurrentAnswer> RangeAsync(string query, long startMs, long endMs, long stepMs, CancellationToken cancellation, AskOptions ask = default) =>
        AskAsync(new Question(query, startMs, endMs, stepMs, engine.Normal(ask)), cancellation);

    private async Task<ConcurrentAnswer> AskAsync(Question question, CancellationToken cancellation)
    {
        Evaluation? known, evaluation;
        lock (_gate)
        {
            if (_waiters >= maxWaiters)
                return new ConcurrentAnswer(null, TimeSpan.Zero, false);
            _running.TryGetValue(question, out known);
        }
        // Asks the store, which may be writing: others must not stand at the gate meanwhile.
        bool mayJoin = known is not null && MayJoin(known);
        lock (_gate)
        {
            if (_waiters >= maxWaiters)
                return new ConcurrentAnswer(null, TimeSpan.Zero, false);
            _waiters++;
            // Another one than before was made since this was asked: it sees all that this has to see.
            if (_running.TryGetValue(question, out evaluation) && (mayJoin || evaluation != known))
            {
                _shared++;
            }
            else
            {
                var begun = new Evaluation(question) { Number = engine.Parts?.Enter() ?? 0 };
                _running[question] = evaluation = begun;
                // Off the caller's thread: a long query must not hold a server's loop.
                _ = Task.Run(() => RunAsync(begun), CancellationToken.None);
            }
            evaluation.Waiters++;
        }
        try
        {
            return await evaluation.Done.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            bool hasBegun = evaluation.HasBegun;
            var error = new QueryError(QueryErrorKind.Canceled, hasBegun ? "query was canceled in expression evaluation" : "query was canceled in the queue");
            return new ConcurrentAnswer(new QueryResult { Error = error }, TimeSpan.Zero, hasBegun);
        }
        finally
        {
            if (IsLast(evaluation))
                await evaluation.Stop.CancelAsync().ConfigureAwait(false);
        }
    }

    /// <summary>One waiter goes; whether nobody waits any more for what is not done.</summary>
    private bool IsLast(Evaluation evaluation)
    {
        lock (_gate)
        {
            _waiters--;
            bool isLast = --evaluation.Waiters == 0 && !evaluation.Done.Task.IsCompleted;
            if (isLast)
                Forget(evaluation);
            return isLast;
        }
    }

    private bool MayJoin(Evaluation evaluation) =>
        !evaluation.HasBegun || (reader is IChangeLog changes && evaluation.Reach is { } reach && changes.OldestChangeSince(evaluation.Mark) > reach);

    private void Forget(Evaluation evaluation)
    {
        lock (_gate)
        {
            if (_running.TryGetValue(evaluation.Question, out Evaluation? known) && known == evaluation)
                _running.Remove(evaluation.Question);
        }
    }

    private async Task RunAsync(Evaluation evaluation)
    {
        try
        {
            ConcurrentAnswer answer;
            try
            {
                answer = await RunInPlaceAsync(evaluation).ConfigureAwait(false);
            }
            finally
            {
                engine.Parts?.Leave(evaluation.Number);
            }
            Forget(evaluation);
            evaluation.Done.TrySetResult(answer);
        }
        catch (OperationCanceledException) when (evaluation.Stop.IsCancellationRequested)
        {
            // Nobody waits any more, and nobody can join: it was forgotten before it was stopped.
            evaluation.Done.TrySetCanceled(evaluation.Stop.Token);
        }
        catch (Exception e)
        {
            Forget(evaluation);
            evaluation.Done.TrySetException(e);
        }
    }

    private async Task<ConcurrentAnswer> RunInPlaceAsync(Evaluation evaluation)
    {
        long asked = time.GetTimestamp();
        if (!await places.EnterAsync(evaluation.Stop.Token).ConfigureAwait(false))
            return new ConcurrentAnswer(null, time.GetElapsedTime(asked), false);
        TimeSpan waited = time.GetElapsedTime(asked);
        try
        {
            return new ConcurrentAnswer(Evaluate(evaluation), waited);
        }
        finally
        {
            places.Leave();
        }
    }

    private QueryResult Evaluate(Evaluation evaluation)
    {
        Question question = evaluation.Question;
        // Before it says that it has begun, and so before it reads: an older mark only lets fewer join.
        if (reader is IChangeLog changes)
            (evaluation.Mark, evaluation.Reach) = (changes.TakeMark(), engine.ReachOf(question.Query, question.EndMs, changes));
        evaluation.HasBegun = true;
        CancellationToken stop = evaluation.Stop.Token;
        return question.StepMs == 0
            ? engine.Instant(reader, question.Query, question.EndMs, question.Ask, stop)
            : engine.Range(reader, question.Query, question.StartMs, question.EndMs, question.StepMs, question.Ask, stop);
    }

    private readonly record struct Question(string Query, long StartMs, long EndMs, long StepMs, AskOptions Ask);

    private sealed class Evaluation(Question question)
    {
        public Question Question { get; } = question;

        /// <summary>Keeps parts of other queries that are done meanwhile (<see cref="ConcurrentParts.Enter"/>).</summary>
        public long Number { get; init; }

        /// <summary>Whether it reads; before that it waits for a place. Set after its mark and its reach.</summary>
        public volatile bool HasBegun;

        /// <summary>What was stored when it began to read.</summary>
        public long Mark { get; set; }

        /// <summary>The newest time that it may read; null: nobody can join once it has begun.</summary>
        public long? Reach { get; set; }

        public int Waiters { get; set; }

        public CancellationTokenSource Stop { get; } = new();

        public TaskCompletionSource<ConcurrentAnswer> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>How many queries may run at once. Thread-safe.</summary>
public interface IQueryPlaces
{
    /// <summary>Waits for a place; false when too many wait already.</summary>
    ValueTask<bool> EnterAsync(CancellationToken cancellation);

    /// <summary>Gives a place back.</summary>
    void Leave();
}
