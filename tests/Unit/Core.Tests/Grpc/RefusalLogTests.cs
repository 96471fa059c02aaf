using System.Net;
using Bellwether.Core.Grpc.Server;
using Bellwether.Kit;
using Microsoft.Extensions.Logging;

namespace Bellwether.Core.Tests.Grpc;

public sealed class RefusalLogTests : ILogger
{
    private readonly List<string> _lines = [];

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => _lines.Add(formatter(state, exception));

    [Fact]
    public void A_client_that_is_refused_again_and_again_costs_a_line_a_minute_and_others_are_told_at_once()
    {
        var time = new VirtualTime();
        var refusals = new RefusalLog(time, this);
        for (int i = 0; i < 41; i++)
        {
            refusals.Refused(new IPEndPoint(IPAddress.Loopback, 1000 + i), "/p", "the bearer token is not known");
            time.Advance(TimeSpan.FromSeconds(1.5));
        }
        refusals.Refused(new IPEndPoint(IPAddress.Loopback, 7), "/p", "another reason");
        refusals.Refused(new IPEndPoint(IPAddress.IPv6Loopback, 8), "/p", "the bearer token is not known");
        Assert.Equal(
            [
                "127.0.0.1:1000: /p refused: the bearer token is not known (0 such calls since the last line)",
                "127.0.0.1:1040: /p refused: the bearer token is not known (39 such calls since the last line)",
                "127.0.0.1:7: /p refused: another reason (0 such calls since the last line)",
                "[::1]:8: /p refused: the bearer token is not known (0 such calls since the last line)",
            ],
            _lines);
    }
}
