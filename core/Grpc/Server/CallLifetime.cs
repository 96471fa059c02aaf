using System.Runtime.CompilerServices;

namespace Bellwether.Core.Grpc.Server;

/// <summary>Everything that may end a call before its handler does, and which of them it was.</summary>
internal sealed class CallLifetime : IDisposable
{
    private readonly CancellationToken _aborted;
    private readonly CancellationToken _stopping;
    private readonly CancellationTokenSource? _deadline;
    private readonly CancellationTokenSource _any;
    private readonly CancellationTokenRegistration _deadlineLink;
    private readonly Lock _gate = new();
    private StrongBox<GrpcStatus>? _ended;
    private bool _disposed;

    public CallLifetime(TimeSpan? timeout, GrpcServerOptions options, TimeProvider time, CancellationToken aborted, CancellationToken stopping)
    {
        _aborted = aborted;
        _stopping = stopping;
        _deadline = timeout is { } t ? new CancellationTokenSource(t > TimeSpan.FromDays(40) ? TimeSpan.FromDays(40) : t, time) : null;
        Idle = new WaitLimit(options.IdleTimeout, time);
        Stalled = new WaitLimit(options.WriteTimeout, time);
        _any = CancellationTokenSource.CreateLinkedTokenSource(aborted, stopping, Idle.Token, Stalled.Token);
        _deadlineLink = _deadline?.Token.UnsafeRegister(static s => ((CancellationTokenSource)s!).Cancel(), _any) ?? default;
    }

    /// <summary>Fires at the first of them.</summary>
    public CancellationToken Token => _any.Token;

    /// <summary>Watches reads.</summary>
    public WaitLimit Idle { get; }

    /// <summary>Watches writes.</summary>
    public WaitLimit Stalled { get; }

    /// <summary>Whether the client has gone: nobody is there to be told.</summary>
    public bool ClientGone => _aborted.IsCancellationRequested;

    /// <summary>What <see cref="End"/> said; null: it was not called.</summary>
    public GrpcStatus? EndedWith => Volatile.Read(ref _ended)?.Value;

    /// <summary>Ends the call with a status; the first one stands, and it does nothing when the handler has returned. Any thread.</summary>
    public void End(GrpcStatus status)
    {
        lock (_gate)
        {
            if (_disposed || _ended is not null)
                return;
            Volatile.Write(ref _ended, new StrongBox<GrpcStatus>(status));
            // The token fires now, its callbacks run on the pool: the caller may hold a gate of its own.
            _ = _any.CancelAsync();
        }
    }

    /// <summary>The status that says what ended the call; null when nothing did.</summary>
    public GrpcStatus? Reason()
    {
        if (Volatile.Read(ref _ended) is { } ended)
            return ended.Value;
        if (_aborted.IsCancellationRequested)
            return new GrpcStatus(GrpcStatusCode.Cancelled, "the client has gone");
        if (_deadline is { IsCancellationRequested: true })
            return new GrpcStatus(GrpcStatusCode.DeadlineExceeded, "the deadline passed");
        if (_stopping.IsCancellationRequested)
            return new GrpcStatus(GrpcStatusCode.Unavailable, "the server is stopping");
        if (Idle.Token.IsCancellationRequested)
            return new GrpcStatus(GrpcStatusCode.Unavailable, $"no message came for {Idle.Limit.TotalSeconds:0.###} s");
        if (Stalled.Token.IsCancellationRequested)
            return new GrpcStatus(GrpcStatusCode.Unavailable, $"the client took nothing for {Stalled.Limit.TotalSeconds:0.###} s");
        return null;
    }

    public void Dispose()
    {
        lock (_gate)
            _disposed = true;
        _deadlineLink.Dispose();
        _any.Dispose();
        _deadline?.Dispose();
        Idle.Dispose();
        Stalled.Dispose();
    }
}

/// <summary>Cancels when one wait takes too long.</summary>
internal sealed class WaitLimit : IDisposable
{
    private readonly CancellationTokenSource _source;

    public WaitLimit(TimeSpan limit, TimeProvider time)
    {
        Limit = limit;
        _source = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
    }

    public TimeSpan Limit { get; }

    public CancellationToken Token => _source.Token;

    public void Arm() => _source.CancelAfter(Limit);

    public void Disarm() => _source.CancelAfter(Timeout.InfiniteTimeSpan);

    public void Dispose() => _source.Dispose();
}
