using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Bellwether.Kit;

/// <summary>
/// Ports of 127.0.0.1 for programs that a test starts. They lie beside the range from which the system gives connections their own ports: one of those could take a port between
/// its choice and the program's start, and a client that knocks before the program is there could, by that very port, be connected to itself. Thread-safe.
/// </summary>
public static class Ports
{
    /// <summary>What is above well-known services and the ports that browsers refuse.</summary>
    private const int First = 11_000;
    private const int RoomMin = 2_000;
    private const int AttemptsMax = 1_000;
    private static readonly Lock s_gate = new();
    private static readonly HashSet<int> s_given = [];
    private static readonly (int From, int To) s_range = Range();

    /// <summary>A port that nobody has, and that this process has not given before.</summary>
    public static int Free()
    {
        lock (s_gate)
        {
            for (int attempt = 0; attempt < AttemptsMax; attempt++)
            {
                int port = s_range.To == 0 ? 0 : RandomNumberGenerator.GetInt32(s_range.From, s_range.To);
                if (TryBind(ref port) && s_given.Add(port))
                    return port;
            }
        }
        throw new InvalidOperationException($"no free port of 127.0.0.1 between {s_range.From} and {s_range.To} in {AttemptsMax} attempts");
    }

    /// <summary>Several, all different.</summary>
    public static int[] Free(int count) => [.. Enumerable.Range(0, count).Select(_ => Free())];

    private static bool TryBind(ref int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>The larger part beside the system's own range; (0, 0) where there is none, or where it is not told: then the system chooses.</summary>
    private static (int From, int To) Range()
    {
        const string told = "/proc/sys/net/ipv4/ip_local_port_range";
        if (!File.Exists(told))
            return (0, 0);
        string[] words = File.ReadAllText(told).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        int low = int.Parse(words[0], CultureInfo.InvariantCulture), high = int.Parse(words[1], CultureInfo.InvariantCulture);
        (int From, int To) below = (First, low), above = (Math.Max(high + 1, First), 65_536);
        (int From, int To) larger = below.To - below.From >= above.To - above.From ? below : above;
        return larger.To - larger.From >= RoomMin ? larger : (0, 0);
    }
}
