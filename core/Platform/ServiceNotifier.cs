using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Bellwether.Core.Platform;

/// <summary>
/// Tells systemd how the service is (sd_notify(3)): ready, reloading, stopping, alive, and a status line. Does nothing when not started by systemd. Thread-safe.
/// Units need <c>Type=notify</c> and <c>WatchdogSignal=SIGKILL</c> (the runtime swallows the first SIGABRT from outside).
/// </summary>
public sealed class ServiceNotifier
{
    private readonly string? _socket;
    private readonly TimeProvider _time;

    /// <summary>Takes the addresses from the environment that systemd sets (NOTIFY_SOCKET, WATCHDOG_USEC).</summary>
    public ServiceNotifier(TimeProvider time)
    {
        _time = time;
        _socket = Environment.GetEnvironmentVariable("NOTIFY_SOCKET");
        if (long.TryParse(Environment.GetEnvironmentVariable("WATCHDOG_USEC"), CultureInfo.InvariantCulture, out long microseconds) && microseconds > 0)
            WatchdogInterval = TimeSpan.FromMicroseconds(microseconds / 2.0);
    }

    /// <summary>How often <see cref="Alive"/> is due (half of what systemd waits); null: no watchdog.</summary>
    public TimeSpan? WatchdogInterval { get; }

    /// <summary>The service does its work.</summary>
    public void Ready(string status) => Send($"READY=1\nSTATUS={status}");

    /// <summary>A reload has begun; <see cref="Ready"/> ends it.</summary>
    public void Reloading() => Send(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={_time.GetTimestamp() / (_time.TimestampFrequency / 1_000_000.0):F0}"));

    /// <summary>The service is ending.</summary>
    public void Stopping() => Send("STOPPING=1");

    /// <summary>Data still moves: the watchdog need not act. Called by whoever saw progress, not by a timer alone.</summary>
    public void Alive() => Send("WATCHDOG=1");

    private void Send(string message)
    {
        if (string.IsNullOrEmpty(_socket))
            return;
        try
        {
            // A leading @ means the abstract namespace, which starts with a NUL byte.
            string path = _socket[0] == '@' ? "\0" + _socket[1..] : _socket;
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTo(Encoding.UTF8.GetBytes(message), new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e)
        {
            Console.Error.WriteLine($"could not notify systemd at {_socket}: {e.Message}");
        }
    }
}
