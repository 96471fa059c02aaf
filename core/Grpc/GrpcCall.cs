using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using System.Threading.Channels;
using Google.Protobuf;

namespace Bellwether.Core.Grpc;

/// <summary>
/// One call of a client. Reading and writing may go on at the same time; writes are serialized, one reader at a time. A background reader always runs, so that the
/// status is known even while nobody reads: once it is, writes throw it. Dispose ends the call (as cancelled, when it has not ended by itself).
/// </summary>
public sealed class GrpcCall<TRequest, TResponse> : IAsyncDisposable
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    private readonly GrpcChannel _channel;
    private readonly GrpcMethod<TRequest, TResponse> _method;
    private readonly GrpcCallOptions _options;
    private readonly DuplexContent _content = new();
    private readonly Channel<TResponse> _incoming;
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly ArrayBufferWriter<byte> _frame = new(1024);
    private readonly CancellationTokenSource _deadline;
    private readonly CancellationTokenSource _abort;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationToken _caller;
    private readonly TaskCompletionSource<GrpcMetadata> _headers = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<GrpcStatus> _status = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _reader = Task.CompletedTask;
    private bool _disposed;

    internal GrpcCall(GrpcChannel channel, GrpcMethod<TRequest, TResponse> method, GrpcCallOptions options, CancellationToken cancellation)
    {
        _channel = channel;
        _method = method;
        _options = options;
        _caller = cancellation;
        _incoming = Channel.CreateBounded<TResponse>(new BoundedChannelOptions(channel.Options.MaxQueuedMessages) { SingleReader = true, SingleWriter = true });
        _deadline = options.Timeout is { } timeout && timeout > TimeSpan.Zero
            ? new CancellationTokenSource(Clip(timeout), channel.Time)
            : new CancellationTokenSource();
        if (options.Timeout is { } passed && passed <= TimeSpan.Zero)
            _deadline.Cancel();
        _abort = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _deadline.Token);
    }

    /// <summary>How the call ended; null while it goes on.</summary>
    public GrpcStatus? Status => _status.Task.IsCompleted ? _status.Task.Result : null;

    /// <summary>Metadata that came with the status; empty while the call goes on.</summary>
    public GrpcMetadata Trailers { get; private set; } = GrpcMetadata.None;

    /// <summary>Completes with the response's metadata, which a peer may send long before its first message; empty when the call ended without any.</summary>
    public Task<GrpcMetadata> ResponseHeaders => _headers.Task;

    /// <summary>Completes when the call has ended. All messages that came before may still be read.</summary>
    public Task<GrpcStatus> Ended => _status.Task;

    /// <summary>The next message; null when the call has ended (see <see cref="Status"/>). Throws only when <paramref name="cancellation"/> fires, which does not end the call.</summary>
    public async ValueTask<TResponse?> ReadAsync(CancellationToken cancellation)
    {
        while (await _incoming.Reader.WaitToReadAsync(cancellation))
        {
            if (_incoming.Reader.TryRead(out TResponse? message))
                return message;
        }
        await _status.Task;
        return null;
    }

    /// <summary>
    /// Sends a message and flushes. Throws <see cref="GrpcStatusException"/> with the call's status when it has ended, with ResourceExhausted when the message is
    /// above the limit (the call goes on). When <paramref name="cancellation"/> fires within a message the call is aborted: half a message cannot be taken back.
    /// </summary>
    public async ValueTask WriteAsync(TRequest message, CancellationToken cancellation)
    {
        int size = message.CalculateSize();
        if (size > _channel.Options.MaxSendMessageBytes)
            throw new GrpcStatusException(new GrpcStatus(GrpcStatusCode.ResourceExhausted, $"a message of {size} bytes is above the limit of {_channel.Options.MaxSendMessageBytes} (MaxSendMessageBytes)"));
        await _writing.WaitAsync(cancellation);
        try
        {
            if (Status is { } status)
                throw new GrpcStatusException(status);
            await SendAsync(message, size, cancellation);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Says that no message will follow; reading goes on. Must not run beside a write.</summary>
    public void CompleteWriting() => _content.CompleteWriting();

    /// <summary>Cancels the call: the peer sees RST_STREAM (CANCEL), the status becomes Cancelled unless it is known already.</summary>
    public void Cancel()
    {
        if (!_disposed)
            _abort.Cancel();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        await _abort.CancelAsync();
        while (_incoming.Reader.TryRead(out _))
            continue;
        await _reader;
        _disposed = true;
        _abort.Dispose();
        _deadline.Dispose();
        _ended.Dispose();
        _content.Dispose();
        _writing.Dispose();
    }

    internal void Start() => _reader = RunAsync();

    private static TimeSpan Clip(TimeSpan timeout) => timeout > TimeSpan.FromDays(40) ? TimeSpan.FromDays(40) : timeout;

    private async Task SendAsync(TRequest message, int size, CancellationToken cancellation)
    {
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _ended.Token);
            Stream stream = await _content.Opened.WaitAsync(either.Token);
            _frame.ResetWrittenCount();
            GrpcFrames.Write(_frame, message, size);
            await stream.WriteAsync(_frame.WrittenMemory, either.Token);
            await stream.FlushAsync(either.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or HttpRequestException or ObjectDisposedException or InvalidOperationException)
        {
            if (cancellation.IsCancellationRequested && Status is null)
            {
                await _abort.CancelAsync();
                throw new OperationCanceledException("The write was cancelled, and its call with it.", e, cancellation);
            }
            // The reader knows why the body broke: the peer may have answered before it had read everything.
            throw new GrpcStatusException(await _status.Task, e);
        }
    }

    private async Task RunAsync()
    {
        GrpcStatus status;
        try
        {
            status = await ExchangeAsync();
        }
        catch (Exception e)
        {
            status = _deadline.IsCancellationRequested ? new GrpcStatus(GrpcStatusCode.DeadlineExceeded, "the deadline passed")
                : _abort.IsCancellationRequested || _caller.IsCancellationRequested ? new GrpcStatus(GrpcStatusCode.Cancelled, "the call was cancelled")
                : HttpErrorMap.FromException(e);
        }
        _headers.TrySetResult(GrpcMetadata.None);
        _status.TrySetResult(status);
        _incoming.Writer.TryComplete();
        await _ended.CancelAsync();
        _content.Complete();
    }

    private async Task<GrpcStatus> ExchangeAsync()
    {
        using HttpRequestMessage request = Request();
        using HttpResponseMessage response = await _channel.SendAsync(request, _abort.Token);
        if (response.StatusCode != HttpStatusCode.OK)
            return HttpErrorMap.FromHttpStatus(response.StatusCode);
        if (response.Content.Headers.ContentType?.MediaType is not { } type || !type.StartsWith("application/grpc", StringComparison.Ordinal))
            return new GrpcStatus(GrpcStatusCode.Unknown, $"the answer's content type is '{response.Content.Headers.ContentType}', not application/grpc");
        _headers.TrySetResult(Metadata(response.Headers));
        if (TryStatus(response.Headers, out GrpcStatus alone))
        {
            Trailers = Metadata(response.Headers);
            return alone;
        }
        PipeReader reader = PipeReader.Create(await response.Content.ReadAsStreamAsync(_abort.Token));
        try
        {
            while (await GrpcFrames.ReadAsync(reader, _method.Responses, _channel.Options.MaxReceiveMessageBytes, GrpcStatusCode.Internal, _abort.Token) is { } message)
                await _incoming.Writer.WriteAsync(message, _abort.Token);
        }
        finally
        {
            await reader.CompleteAsync();
        }
        Trailers = Metadata(response.TrailingHeaders);
        return TryStatus(response.TrailingHeaders, out GrpcStatus status) ? status : new GrpcStatus(GrpcStatusCode.Unknown, "the answer ended without a grpc-status");
    }

    private HttpRequestMessage Request()
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_channel.Options.Address, _method.Path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = _content,
        };
        HttpRequestHeaders headers = request.Headers;
        headers.TryAddWithoutValidation("te", "trailers");
        headers.TryAddWithoutValidation("user-agent", "bellwether-grpc/1");
        headers.TryAddWithoutValidation("grpc-accept-encoding", "identity");
        if (_options.Timeout is { } timeout)
            headers.TryAddWithoutValidation("grpc-timeout", GrpcText.EncodeTimeout(timeout));
        foreach (GrpcMetadataEntry entry in _options.Metadata)
            headers.TryAddWithoutValidation(entry.Key, entry.IsBinary ? GrpcText.EncodeBytes(entry.Bytes.Span) : entry.Text);
        return request;
    }

    private static bool TryStatus(HttpResponseHeaders headers, out GrpcStatus status)
    {
        status = default;
        if (!headers.NonValidated.TryGetValues("grpc-status", out HeaderStringValues values))
            return false;
        bool known = int.TryParse(values.ToString(), out int code) && code is >= 0 and <= 16;
        string message = headers.NonValidated.TryGetValues("grpc-message", out HeaderStringValues text) ? GrpcText.DecodeMessage(text.ToString()) : "";
        ReadOnlyMemory<byte> details = default;
        if (headers.NonValidated.TryGetValues("grpc-status-details-bin", out HeaderStringValues encoded) && GrpcText.TryDecodeBytes(encoded.ToString(), out byte[] decoded))
            details = decoded;
        status = new GrpcStatus(known ? (GrpcStatusCode)code : GrpcStatusCode.Unknown, message, details);
        return true;
    }

    private static GrpcMetadata Metadata(HttpResponseHeaders headers)
    {
        var metadata = new GrpcMetadata();
        foreach ((string name, HeaderStringValues values) in headers.NonValidated)
        {
            foreach (string value in values)
                metadata.AddFromWire(name, value);
        }
        return metadata;
    }
}
