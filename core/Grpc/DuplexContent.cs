using System.Net;
using System.Net.Http.Headers;

namespace Bellwether.Core.Grpc;

/// <summary>A request body that hands its stream out and stays open until it is completed, so that a call can write while it reads.</summary>
internal sealed class DuplexContent : HttpContent
{
    private static readonly MediaTypeHeaderValue s_type = new("application/grpc");

    private readonly TaskCompletionSource<Stream> _stream = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public DuplexContent()
    {
        Headers.ContentType = s_type;
        // Nobody may be waiting when the call ends before it began.
        _ = _stream.Task.ContinueWith(static t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }

    /// <summary>The body, once the request is on its way.</summary>
    public Task<Stream> Opened => _stream.Task;

    /// <summary>Ends the body (END_STREAM). Writers that still wait for the stream are failed.</summary>
    public void Complete()
    {
        _done.TrySetResult();
        _stream.TrySetException(new IOException("The call ended before its request could be sent."));
    }

    /// <summary>Half-closes: waits for nothing that is not on its way.</summary>
    public void CompleteWriting() => _done.TrySetResult();

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        try
        {
            // The headers go out now: the peer may want to speak first.
            await stream.FlushAsync(cancellationToken);
            _stream.TrySetResult(stream);
        }
        catch (Exception e)
        {
            // Writers would wait for ever for a stream that was never handed out.
            _stream.TrySetException(new IOException("The request's body could not be opened.", e));
            throw;
        }
        // An exception here would hide the code of the peer's RST_STREAM from the reader.
        await _done.Task.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
