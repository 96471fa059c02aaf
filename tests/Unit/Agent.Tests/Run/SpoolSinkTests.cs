using System.Diagnostics.Metrics;
using Bellwether.Agent.Run;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Tests.Spool;
using Bellwether.Kit;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Tests.Run;

public sealed class SpoolSinkTests
{
    [Fact]
    public async Task What_gives_way_in_a_full_spool_is_told_by_reason_and_not_at_every_tick()
    {
        using var meter = new Meter("test");
        var ticks = new SpoolTicks();
        using LogSpool spool = LogSpool.Open(new FaultyDisk(new Random(1)), "/spool", new SpoolOptions { SegmentBytes = 2048, BytesMax = 16 << 10 }, ticks, new Random(2), meter);
        var log = new Lines();
        var sink = new SpoolSink(spool, ticks, log);
        for (int i = 0; i < 2000; i++)
        {
            sink.Take(ticks.Next());
            if (i % 20 == 19)
                await SyncAsync(sink);
        }
        Assert.True(spool.DroppedSamples > 0);
        // 14 s of the clock.
        string line = Assert.Single(log.Told, l => l.Contains("dropped", StringComparison.Ordinal));
        Assert.Contains("size ", line, StringComparison.Ordinal);
        ticks.Advance(TimeSpan.FromMinutes(2));
        sink.Take(ticks.Next());
        await SyncAsync(sink);
        Assert.Equal(2, log.Told.Count(l => l.Contains("dropped", StringComparison.Ordinal)));
    }

    // A run that is told to stop syncs once and ends.
    private static Task SyncAsync(SpoolSink sink) => sink.RunAsync(new CancellationToken(canceled: true));

    private sealed class Lines : ILogger
    {
        public List<string> Told { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Told.Add(formatter(state, exception));
    }
}
