using System.Net;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Core.Grpc.Server;

/// <summary>
/// Tells of calls that were not let in: each remote address and reason once, and then once a minute with how many were left out. A client that is refused tries again
/// every second or two, for as long as nobody mends it; a line each would fill the log. Thread-safe.
/// </summary>
internal sealed partial class RefusalLog(TimeProvider time, ILogger log)
{
    private readonly RepeatedLines<(string Address, string Reason)> _lines = new(time);

    /// <summary>Tells of a refusal, or counts it.</summary>
    public void Refused(IPEndPoint? remote, string path, string reason)
    {
        if (_lines.IsDue((remote?.Address.ToString() ?? "", reason), out long untold))
            NotLetIn(log, remote?.ToString() ?? "", path, reason, untold);
    }

    [LoggerMessage(2002, LogLevel.Warning, "{Remote}: {Path} refused: {Reason} ({Untold} such calls since the last line)")]
    private static partial void NotLetIn(ILogger log, string remote, string path, string reason, long untold);
}
