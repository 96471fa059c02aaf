using System.Threading.Channels;
using Bellwether.Core.Grpc;
using Bellwether.V1;

namespace Bellwether.Agent.Stream;

/// <summary>The async edge of one session: turns messages, time, a growing spool and the wish to stop into events, and effects into writes. One thread at a time.</summary>
internal sealed class StreamPump
{
    private static readonly TimeSpan s_leaveTime = TimeSpan.FromSeconds(1);
    private readonly StreamSession _session;
    private readonly GrpcCall<AgentMessage, AggregatorMessage> _call;
    private readonly ChannelReader<bool> _grown;
    private readonly StreamOptions _options;
    private readonly TimeProvider _time;
    private readonly StreamEffects _effects = new();
    private Task<AggregatorMessage?> _reading;
    private Task<bool>? _growing;
    private TaskCompletionSource? _woken;
    private bool _stopTold;

    /// <summary>Makes a pump for one call.</summary>
    public StreamPump(StreamSession session, GrpcCall<AgentMessage, AggregatorMessage> call, ChannelReader<bool> grown, StreamOptions options, TimeProvider time)
    {
        _session = session;
        _call = call;
        _grown = grown;
        _options = options;
        _time = time;
        _reading = call.ReadAsync(CancellationToken.None).AsTask();
    }

    /// <summary>Counts what moves.</summary>
    public required StreamStatistics Statistics { get; init; }

    /// <summary>Called once when the aggregator has answered the hello.</summary>
    public required Action Greeted { get; init; }

    /// <summary>Called with every configuration that comes.</summary>
    public Action<NewConfiguration>? ConfigurationCame { get; init; }

    /// <summary>Fires when the session is to end because a better address is there: at once, without a goodbye. What is under way is settled by the next session's hello.</summary>
    public CancellationToken Leaving { get; init; }

    /// <summary>Called with a refusal in words.</summary>
    public required Action<string> RecordRefused { get; init; }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Feeds the session until it or the call ends; returns why. Throws <see cref="GrpcStatusException"/> when the call ended while something was being sent, <see cref="OperationCanceledException"/> when the peer took nothing for so long after the wish to stop.</summary>
    public async Task<string> RunAsync(CancellationToken stopping)
    {
        bool greeted = false;
        // A peer that stands but takes nothing must not hold the agent's end up.
        using var patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _time);
        using CancellationTokenRegistration told = stopping.UnsafeRegister(_ =>
        {
            patience.CancelAfter(_options.DrainTimeout + s_leaveTime);
            Wake();
        }, null);
        using CancellationTokenRegistration left = Leaving.UnsafeRegister(_ => Wake(), null);
        using ITimer alarm = _time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // By the time that passes: a clock that is set back must not make it wait for years for an answer.
        long begunAt = _time.GetTimestamp();
        StreamEvent? happened = new StreamEvent(StreamEventKind.Opened);
        while (happened is { } next)
        {
            StepCounted(next);
            if (!greeted && _session.StoreId is not null)
            {
                greeted = true;
                Greeted();
            }
            if (_effects.Configuration is { } configuration)
                ConfigurationCame?.Invoke(configuration);
            string? end = _effects.End;
            bool sent = _effects.Send is not null;
            if (_effects.Send is { } message)
                await _call.WriteAsync(message, patience.Token);
            if (end is not null)
                return await LeaveAsync(end);
            TimeSpan patienceLeft = _options.HelloTimeout - _time.GetElapsedTime(begunAt);
            if (!greeted && patienceLeft <= TimeSpan.Zero)
                return $"no answer to the hello in {_options.HelloTimeout.TotalSeconds:0.###} s";
            if (Leaving.IsCancellationRequested)
                return await LeaveAsync("a preferred address is there again");
            happened = await NextAsync(alarm, sent && greeted, greeted ? _effects.WakeAtMs : NowMs + (long)patienceLeft.TotalMilliseconds + 1, stopping);
        }
        return _call.Status?.ToString() ?? "the call ended";
    }

    private void StepCounted(in StreamEvent happened)
    {
        (long records, long bytes, long refused) = (_session.RecordsSent, _session.BytesSent, _session.RecordsRefused);
        _session.Step(NowMs, happened, _effects);
        Statistics.Moved(_session.RecordsSent - records, _session.BytesSent - bytes, _session.RecordsRefused - refused, _session.UnderWayBytes);
        if (_session.RecordsRefused != refused)
            RecordRefused(_session.LastRefusal ?? "");
    }

    /// <summary>The next event; null: the call has ended. What has come goes before what could be sent: acknowledgements open the window.</summary>
    private async Task<StreamEvent?> NextAsync(ITimer alarm, bool sendMore, long wakeAtMs, CancellationToken stopping)
    {
        if (!sendMore && !_reading.IsCompleted && (_stopTold || !stopping.IsCancellationRequested))
            await WaitAsync(alarm, wakeAtMs, _stopTold ? CancellationToken.None : stopping);
        if (Leaving.IsCancellationRequested)
            return new StreamEvent(StreamEventKind.Writable);
        if (_reading.IsCompleted)
        {
            AggregatorMessage? message = await _reading;
            if (message is null)
                return null;
            _reading = _call.ReadAsync(CancellationToken.None).AsTask();
            return new StreamEvent(StreamEventKind.Received, message);
        }
        if (stopping.IsCancellationRequested && !_stopTold)
        {
            _stopTold = true;
            return new StreamEvent(StreamEventKind.Stop, DrainUntilMs: NowMs + (long)_options.DrainTimeout.TotalMilliseconds);
        }
        return new StreamEvent(StreamEventKind.Writable);
    }

    /// <summary>Waits for a message, a grown spool, a time, or the wish to stop. Nothing is made and cancelled for it: each timer and each cancellation wakes threads, and this is all that a quiet agent does.</summary>
    private async Task WaitAsync(ITimer alarm, long wakeAtMs, CancellationToken stopping)
    {
        if (_grown.TryRead(out _))
            return;
        var woken = new TaskCompletionSource();
        Volatile.Write(ref _woken, woken);
        if (stopping.IsCancellationRequested || Leaving.IsCancellationRequested)
            return;
        alarm.Change(TimeSpan.FromMilliseconds(Math.Clamp(wakeAtMs - NowMs, 1, 60_000)), Timeout.InfiniteTimeSpan);
        // One wait of the channel serves until it is answered.
        _growing = _growing is { IsCompleted: false } still ? still : _grown.WaitToReadAsync(CancellationToken.None).AsTask();
        await Task.WhenAny(_reading, woken.Task, _growing);
        _grown.TryRead(out _);
    }

    private void Wake() => Volatile.Read(ref _woken)?.TrySetResult();

    /// <summary>After the goodbye: half-closes and gives the aggregator a moment to end the call in order.</summary>
    private async Task<string> LeaveAsync(string reason)
    {
        _call.CompleteWriting();
        using var patience = new CancellationTokenSource(s_leaveTime, _time);
        await ((Task)_call.Ended).WaitAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return reason;
    }
}
