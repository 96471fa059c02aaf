using System.Net;
using Microsoft.Extensions.Logging;

namespace Bellwether.Core.Grpc.Server;

/// <summary>
/// Tells of calls that were not let in: each remote address and reason once, and then once a minute with how many were left out. A client that is refused tries again
/// every second or two, for as long as nobody mends it; a line each would fill the log. Thread-safe.
/// </summary>
internal sealed partial class RefusalLog(TimeProvider time, ILogger log)
{
    /// <summary>Most addresses and reasons that are told apart; beyond, all are forgotten at once and told anew.</summary>
    public const int KeysMax = 1024;

    private static readonly TimeSpan s_tellInterval = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<(string Address, string Reason), Told> _told = [];

    /// <summary>Tells of a refusal, or counts it.</summary>
    public void Refused(IPEndPoint? remote, string path, string reason)
    {
        long untold;
        lock (_gate)
        {
            (string, string) key = (remote?.Address.ToString() ?? "", reason);
            bool known = _told.TryGetValue(key, out Told told);
            if (known && time.GetElapsedTime(told.At) < s_tellInterval)
            {
                _told[key] = told with { Untold = told.Untold + 1 };
                return;
            }
            if (!known && _told.Count >= KeysMax)
                _told.Clear();
            untold = told.Untold;
            _told[key] = new Told(time.GetTimestamp(), 0);
        }
        NotLetIn(log, remote?.ToString() ?? "", path, reason, untold);
    }

    private readonly record struct Told(long At, long Untold);

    [LoggerMessage(2002, LogLevel.Warning, "{Remote}: {Path} refused: {Reason} ({Untold} such calls since the last line)")]
    private static partial void NotLetIn(ILogger log, string remote, string path, string reason, long untold);
}
