using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Bellwether.Samples.Demo;

/// <summary>Ports of loopback that nobody has, beside the range from which the system gives connections their own: one of those could take a port before its program is there.</summary>
internal static class FreePorts
{
    private const int First = 11_000;
    private const int AttemptsMax = 1_000;

    public static int[] Take(int count)
    {
        int end = SystemsFirst();
        // All are held open together, so that they differ.
        var held = new List<TcpListener>();
        for (int attempt = 0; held.Count < count && attempt < AttemptsMax; attempt++)
        {
            var listener = new TcpListener(IPAddress.Loopback, end > First + AttemptsMax ? RandomNumberGenerator.GetInt32(First, end) : 0);
            try
            {
                listener.Start();
                held.Add(listener);
            }
            catch (SocketException)
            {
                listener.Dispose();
            }
        }
        int[] ports = [.. held.Select(l => ((IPEndPoint)l.LocalEndpoint).Port)];
        foreach (TcpListener listener in held)
            listener.Dispose();
        return ports.Length == count ? ports : throw new DemoException($"no {count} free ports of 127.0.0.1 in {AttemptsMax} attempts");
    }

    /// <summary>The first port of the system's own range; 0: unknown.</summary>
    private static int SystemsFirst()
    {
        const string told = "/proc/sys/net/ipv4/ip_local_port_range";
        return File.Exists(told) ? int.Parse(File.ReadAllText(told).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture) : 0;
    }
}
