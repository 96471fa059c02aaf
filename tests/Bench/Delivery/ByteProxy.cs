using System.Net;
using System.Net.Sockets;

namespace Bellwether.Bench.Delivery;

/// <summary>Between an agent and its sink: counts the bytes that the agent sends, and plays an outage by being away.</summary>
internal sealed class ByteProxy(int port, Func<int> sinkPort) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly List<TcpClient> _open = [];
    private TcpListener? _listener;
    private long _sent;

    /// <summary>Bytes that the agent sent.</summary>
    public long SentBytes => Volatile.Read(ref _sent);

    public int Port => port;

    public void Up()
    {
        _listener = new TcpListener(IPAddress.Loopback, port);
        _listener.Server.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        _listener.Start();
        _ = AcceptAsync(_listener);
    }

    public void Down()
    {
        _listener?.Dispose();
        _listener = null;
        lock (_gate)
        {
            foreach (TcpClient client in _open)
                client.Dispose();
            _open.Clear();
        }
    }

    public ValueTask DisposeAsync()
    {
        Down();
        return ValueTask.CompletedTask;
    }

    private async Task AcceptAsync(TcpListener listener)
    {
        try
        {
            while (true)
                _ = ServeAsync(await listener.AcceptTcpClientAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // Down.
            return;
        }
    }

    private async Task ServeAsync(TcpClient agent)
    {
        using var sink = new TcpClient();
        try
        {
            lock (_gate)
                _open.AddRange([agent, sink]);
            await sink.ConnectAsync(IPAddress.Loopback, sinkPort());
            NetworkStream a = agent.GetStream(), s = sink.GetStream();
            await Task.WhenAny(CopyAsync(a, s, count: true), CopyAsync(s, a, count: false));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException or InvalidOperationException)
        {
            // Either side is gone: both are closed below.
            agent.Close();
        }
        agent.Dispose();
        lock (_gate)
            _open.RemoveAll(c => ReferenceEquals(c, agent) || ReferenceEquals(c, sink));
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to, bool count)
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            int read;
            while ((read = await from.ReadAsync(buffer)) > 0)
            {
                if (count)
                    Interlocked.Add(ref _sent, read);
                await to.WriteAsync(buffer.AsMemory(0, read));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
        {
            // The other direction ends with it.
            return;
        }
    }
}
