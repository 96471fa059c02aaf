using System.Net.Sockets;

namespace Bellwether.Agent.Status;

/// <summary>
/// Answers <c>bellwether-agent status</c> over a Unix socket (mode 0600): whoever connects gets one JSON object, and the connection ends. The agent has no other listener by default.
/// </summary>
internal sealed class StatusSocket : IAsyncDisposable
{
    private const int ConnectionsWaitingMax = 4;
    private readonly Socket _listener;
    private readonly string _path;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;

    private StatusSocket(Socket listener, string path, Func<AgentStatus> status)
    {
        _listener = listener;
        _path = path;
        _loop = ServeAsync(status);
    }

    /// <summary>Opens the socket, replacing what a killed agent left behind. Throws <see cref="SocketException"/> or <see cref="IOException"/> when the place cannot be used.</summary>
    public static StatusSocket Open(string path, Func<AgentStatus> status)
    {
        File.Delete(path);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(path));
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(ConnectionsWaitingMax);
            return new StatusSocket(listener, path, status);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
    }

    /// <summary>Asks a running agent. Throws <see cref="SocketException"/> when none listens.</summary>
    public static async Task<AgentStatus> AskAsync(string path, CancellationToken cancellation)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
        using var answer = new MemoryStream();
        await using var stream = new NetworkStream(socket);
        await stream.CopyToAsync(answer, cancellation);
        return AgentStatus.FromJson(answer.ToArray());
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _listener.Dispose();
        File.Delete(_path);
        _stop.Dispose();
    }

    private async Task ServeAsync(Func<AgentStatus> status)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                using Socket client = await _listener.AcceptAsync(_stop.Token);
                await using var stream = new NetworkStream(client);
                await stream.WriteAsync(status().ToJson(), _stop.Token);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                // The asker went away; the next one may be there.
                continue;
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
