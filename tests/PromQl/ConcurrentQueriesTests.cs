using Bellwether.Evaluate.PromQl;
using Bellwether.Kit;

namespace Bellwether.PromQl.Tests;

/// <summary>Equal queries that are asked at the same time are evaluated once.</summary>
public sealed class ConcurrentQueriesTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromMinutes(1);

    private readonly HeldSeries _data = new();
    private readonly Places _places = new();
    private readonly VirtualTime _time = new();
    private readonly ConcurrentQueries _queries;

    public ConcurrentQueriesTests()
    {
        _queries = new ConcurrentQueries(new PromQlEngine(new EngineOptions { MaxCachedPoints = 0 }, _time), _data, _places, 4, _time);
        for (int i = 0; i <= 10; i++)
            _data.Add(i * 60_000, i);
    }

    public void Dispose() => _data.Dispose();

    [Fact]
    public async Task Equal_queries_at_the_same_time_are_evaluated_once_and_get_the_same_result()
    {
        Task<ConcurrentAnswer> first = Range("v * 2");
        await _data.Begun();
        Task<ConcurrentAnswer> second = Range("v * 2"), other = Range("v * 3");
        await _data.Begun();
        _data.Release();
        Assert.Same((await first).Result, (await second).Result);
        Assert.Equal(20, (await first).Result!.Series[0].Points[^1].Value);
        Assert.Equal(30, (await other).Result!.Series[0].Points[^1].Value);
        Assert.Equal((2, 1), (_data.Selects, _queries.Shared));
        // Nothing is kept for those who come later.
        await Range("v * 2");
        Assert.Equal(3, _data.Selects);
    }

    [Fact]
    public async Task Who_stops_waiting_does_not_stop_the_others_and_the_last_one_stops_the_evaluation()
    {
        using CancellationTokenSource one = new(), two = new();
        Task<ConcurrentAnswer> first = Range("v * 2", one.Token);
        await _data.Begun();
        Task<ConcurrentAnswer> second = Range("v * 2", two.Token);
        await one.CancelAsync();
        Assert.Equal(QueryErrorKind.Canceled, (await first).Result!.Error!.Kind);
        Assert.False(_data.Cancellation.IsCancellationRequested);
        Task<ConcurrentAnswer> third = Range("v * 2");
        await two.CancelAsync();
        Assert.Equal(QueryErrorKind.Canceled, (await second).Result!.Error!.Kind);
        Assert.False(_data.Cancellation.IsCancellationRequested);
        _data.Release();
        Assert.Equal(20, (await third).Result!.Series[0].Points[^1].Value);
        Assert.Equal(1, _data.Selects);
        _data.Hold();
        using CancellationTokenSource alone = new();
        Task<ConcurrentAnswer> fourth = Range("v * 2", alone.Token);
        await _data.Begun();
        await alone.CancelAsync();
        await fourth;
        Assert.True(_data.Cancellation.IsCancellationRequested);
        // What is being stopped is not joined.
        Task<ConcurrentAnswer> fifth = Range("v * 2");
        _data.Release();
        Assert.Null((await fifth).Result!.Error);
    }

    [Fact]
    public async Task A_query_sees_what_was_stored_before_it_was_asked()
    {
        Task<ConcurrentAnswer> first = Range("v * 2");
        await _data.Begun();
        _data.Add(600_001, 50);
        Task<ConcurrentAnswer> joins = Range("v * 2");
        _data.Add(590_000, 40);
        Task<ConcurrentAnswer> apart = Range("v * 2");
        await _data.Begun();
        _data.Release();
        Assert.Same((await first).Result, (await joins).Result);
        Assert.NotSame((await first).Result, (await apart).Result);
        Assert.Equal(2, _data.Selects);
    }

    [Fact]
    public async Task Queries_in_the_queue_are_joined_whatever_is_stored_and_those_that_join_count_against_the_limit()
    {
        _places.IsOpen = false;
        Task<ConcurrentAnswer> first = Range("v * 2");
        Task<ConcurrentAnswer>[] more = [Range("v * 2"), Range("v * 2"), Range("v * 2")];
        _data.Add(590_000, 40);
        Assert.Null((await Range("v * 2")).Result);
        _data.Release();
        _places.Open();
        foreach (Task<ConcurrentAnswer> one in more)
            Assert.Same((await first).Result, (await one).Result);
        Assert.Equal(1, _data.Selects);
        Assert.Equal(0, _places.Taken);
        Assert.NotNull((await Range("v * 2")).Result);
    }

    [Fact]
    public async Task Others_come_and_go_while_the_store_writes()
    {
        Task<ConcurrentAnswer> first = Range("v * 2");
        await _data.Begun();
        // The store says neither what came nor a mark until it is done.
        _data.Write();
        Task<ConcurrentAnswer> joins = Task.Run(() => Range("v * 2")), begins = Range("v * 3");
        await _data.Asked();
        await _data.Asked();
        using CancellationTokenSource stop = new();
        Task<ConcurrentAnswer> joinsQueued = Task.Run(() => Range("v * 3", stop.Token));
        await stop.CancelAsync();
        Assert.Equal(QueryErrorKind.Canceled, (await joinsQueued.WaitAsync(s_soon)).Result!.Error!.Kind);
        _data.Release();
        Assert.Equal(20, (await first.WaitAsync(s_soon)).Result!.Series[0].Points[^1].Value);
        Assert.False(joins.IsCompleted || begins.IsCompleted);
        _data.Written();
        Assert.Equal(20, (await joins).Result!.Series[0].Points[^1].Value);
        Assert.Equal(30, (await begins).Result!.Series[0].Points[^1].Value);
    }

    private Task<ConcurrentAnswer> Range(string query, CancellationToken cancellation = default) => _queries.RangeAsync(query, 0, 600_000, 60_000, cancellation);
}
