using System.Net.Sockets;
using System.Text;

namespace Bellwether.Agent.Status;

/// <summary>
/// Answers <c>bellwether-agent status</c> and takes commands over a Unix socket (mode 0600). A client sends one line: <c>status</c> gets one JSON object, anything else goes to the
/// command handler; then the connection ends. The agent has no other listener by default.
/// </summary>
internal sealed class StatusSocket : IAsyncDisposable
{
    private const int ConnectionsWaitingMax = 4;
    private const int CommandsMax = 2;
    private const int LineBytesMax = 64 << 10;
    private static readonly TimeSpan s_lineTimeout = TimeSpan.FromSeconds(2);
    private static readonly byte[] s_statusLine = "status\n"u8.ToArray();
    private readonly Socket _listener;
    private readonly string _path;
    private readonly CancellationTokenSource _stop = new();
    private readonly Func<string, System.IO.Stream, CancellationToken, Task>? _commands;
    private readonly SemaphoreSlim _commandSlots = new(CommandsMax);
    private readonly Task _loop;

    private StatusSocket(Socket listener, string path, Func<AgentStatus> status, Func<string, System.IO.Stream, CancellationToken, Task>? commands)
    {
        _listener = listener;
        _path = path;
        _commands = commands;
        _loop = ServeAsync(status);
    }

    /// <summary>Opens the socket, replacing what a killed agent left behind. Throws <see cref="SocketException"/> or <see cref="IOException"/> when the place cannot be used.</summary>
    public static StatusSocket Open(string path, Func<AgentStatus> status, Func<string, System.IO.Stream, CancellationToken, Task>? commands = null)
    {
        File.Delete(path);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(new UnixDomainSocketEndPoint(path));
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(ConnectionsWaitingMax);
            return new StatusSocket(listener, path, status, commands);
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
        await stream.WriteAsync(s_statusLine, cancellation);
        await stream.CopyToAsync(answer, cancellation);
        return AgentStatus.FromJson(answer.ToArray());
    }

    /// <summary>Sends a command to a running agent and gives its answer's lines as they come. Throws <see cref="SocketException"/> when none listens.</summary>
    public static async Task CommandAsync(string path, string line, Action<string> answered, CancellationToken cancellation)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), cancellation);
        using var reader = new StreamReader(stream);
        while (await reader.ReadLineAsync(cancellation) is { } answer)
            answered(answer);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        // Commands under way hear of the stop and end.
        for (int i = 0; i < CommandsMax; i++)
            await _commandSlots.WaitAsync(CancellationToken.None);
        _listener.Dispose();
        File.Delete(_path);
        _commandSlots.Dispose();
        _stop.Dispose();
    }

    private async Task ServeAsync(Func<AgentStatus> status)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket client = await _listener.AcceptAsync(_stop.Token);
                if (!await AnswerAsync(client, status))
                    client.Dispose();
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

    /// <summary>True: a command has taken the client over.</summary>
    private async Task<bool> AnswerAsync(Socket client, Func<AgentStatus> status)
    {
        string line = await ReadLineAsync(client);
        if (line is "" or "status" || _commands is null)
        {
            await client.SendAsync(status().ToJson(), _stop.Token);
            return false;
        }
        if (!await _commandSlots.WaitAsync(TimeSpan.Zero, _stop.Token))
        {
            await client.SendAsync("{\"error\":\"other commands are under way; try again\"}\n"u8.ToArray(), _stop.Token);
            return false;
        }
        _ = CommandAsync(client, line, _commands);
        return true;
    }

    /// <summary>Ends by itself; <see cref="DisposeAsync"/> waits for its slot.</summary>
    private async Task CommandAsync(Socket client, string line, Func<string, System.IO.Stream, CancellationToken, Task> commands)
    {
        try
        {
            await using var stream = new NetworkStream(client, ownsSocket: true);
            await commands(line, stream, _stop.Token);
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException)
        {
            // The asker went away, or the agent stops: there is nobody to tell.
            client.Dispose();
        }
        finally
        {
            _commandSlots.Release();
        }
    }

    private async Task<string> ReadLineAsync(Socket client)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(s_lineTimeout);
        byte[] line = new byte[LineBytesMax];
        int length = 0;
        try
        {
            while (length < line.Length && line.AsSpan(0, length).IndexOf((byte)'\n') < 0)
            {
                int read = await client.ReceiveAsync(line.AsMemory(length), limit.Token);
                if (read == 0)
                    break;
                length += read;
            }
        }
        catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
        {
            // Whoever says nothing asks for the status.
            length = 0;
        }
        return Encoding.UTF8.GetString(line, 0, length).Trim();
    }
}
