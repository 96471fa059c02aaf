using System.Net;
using System.Net.Sockets;

namespace Bellwether.Samples.Demo;

/// <summary>The line between the agent and the aggregator, which can be cut: a relay on loopback.</summary>
internal sealed class Line : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly IPEndPoint _to;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly HashSet<TcpClient> _open = [];
    private readonly Task _accepting;
    private bool _cut;

    public Line(int toPort)
    {
        _to = new IPEndPoint(IPAddress.Loopback, toPort);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>Where the agent connects.</summary>
    public string Address => $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    /// <summary>Ends every connection, and takes no other until <see cref="Mend"/>.</summary>
    public void Cut()
    {
        lock (_gate)
        {
            _cut = true;
            foreach (TcpClient client in _open)
                client.Dispose();
            _open.Clear();
        }
    }

    public void Mend()
    {
        lock (_gate)
            _cut = false;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        Cut();
        await _accepting;
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                TcpClient near = await _listener.AcceptTcpClientAsync(_stop.Token);
                var far = new TcpClient();
                if (TryOpen(near, far))
                    _ = RelayAsync(near, far);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // The demo ends, or whoever called hung up at once.
            }
        }
    }

    private bool TryOpen(TcpClient near, TcpClient far)
    {
        lock (_gate)
        {
            if (_cut)
            {
                near.Dispose();
                far.Dispose();
                return false;
            }
            _open.Add(near);
            _open.Add(far);
            return true;
        }
    }

    private async Task RelayAsync(TcpClient near, TcpClient far)
    {
        try
        {
            await far.ConnectAsync(_to, _stop.Token);
            NetworkStream a = near.GetStream(), b = far.GetStream();
            await Task.WhenAny(a.CopyToAsync(b, _stop.Token), b.CopyToAsync(a, _stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // A line that is cut in the middle of a word.
        }
        finally
        {
            lock (_gate)
            {
                _open.Remove(near);
                _open.Remove(far);
            }
            near.Dispose();
            far.Dispose();
        }
    }
}
