using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Grpc.Server;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>The real spool, the wire and the real store in one process: ticks in, samples out, over restarts of either end.</summary>
public sealed class RealSpoolAndStoreTests : IDisposable
{
    private const int SeriesCount = 40;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bellwether-stream-");
    private readonly Meter _meter = new("test");
    private readonly IngestOptions _options = new() { WatermarkInterval = TimeSpan.FromMilliseconds(20) };
    private readonly SourceTable _table = new("shop", 1000);
    private readonly SourceTick _tick = new();
    private long _nextMs = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() - 600_000;
    private int _ticks;

    public RealSpoolAndStoreTests()
    {
        for (int i = 0; i < SeriesCount; i++)
            _table.Add(new LabelsBuilder().Set("__name__", "orders_total").Set("shop", $"s{i}").Build());
    }

    public void Dispose()
    {
        _meter.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task Samples_of_the_spool_are_in_the_store_once_after_restarts_of_both_ends()
    {
        for (int round = 0; round < 3; round++)
        {
            await using StoreWriter store = StoreWriter.Open(
                new StoreOptions { Folder = Path.Combine(_folder.FullName, "store"), MinFreeBytes = 0 }, new OsDisk(), TimeProvider.System, ProcessRandom.Create(), _meter, NullLogger.Instance);
            var fleet = new AgentFleet(_options, TimeProvider.System, _meter);
            var methods = new GrpcMethods();
            new AggregatorService(_options, store, fleet, TimeProvider.System, _meter, NullLogger.Instance).AddTo(methods);
            await using GrpcTestHost host = await GrpcTestHost.StartAsync(
                stopping => new GrpcRouter(methods, AggregatorService.ServerOptions(_options), null, TimeProvider.System, NullLogger.Instance, stopping));
            using LogSpool spool = LogSpool.Open(new OsDisk(), Path.Combine(_folder.FullName, "spool"), new SpoolOptions(), TimeProvider.System, ProcessRandom.Create(), _meter);
            var watermark = new SyncedWatermark();
            Collect(spool, 20);
            var client = new StreamClient(
                new StreamOptions { Aggregators = [new AggregatorAddress { Uri = host.Address }], BackoffMin = TimeSpan.FromMilliseconds(10) },
                new StreamIdentity { AgentId = "agent-1", Version = "1", ProcessId = $"p{round}" }, spool, watermark,
                new StreamClientDependencies(TimeProvider.System, new Random(round), _meter, NullLogger.Instance));
            using var stop = new CancellationTokenSource();
            Task running = client.RunAsync(stop.Token);
            for (int i = 0; i < 10; i++)
            {
                Collect(spool, 5);
                watermark.Publish(_nextMs);
                client.RecordsAppended();
            }
            // In the last round everything must be through; in the others both ends are stopped in the middle.
            if (round == 2)
            {
                await Until.HoldsAsync(() => fleet.PassedMs == _nextMs && spool.Records == 0);
                AssertAllThere(store);
                Assert.Equal(0, fleet.Agents()[0].Refused);
            }
            await stop.CancelAsync();
            await running.WaitAsync(Until.Limit);
        }
    }

    private void Collect(LogSpool spool, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _tick.Begin(_table, _nextMs);
            for (int slot = 0; slot < SeriesCount; slot++)
                _tick.Set(slot, (slot * 1000) + (_ticks / (slot + 1)));
            _tick.Complete();
            Assert.Equal(SpoolAppend.Appended, spool.Append(_tick));
            _nextMs += 1000;
            _ticks++;
        }
        Assert.Equal(LogSync.Durable, spool.Sync());
    }

    private void AssertAllThere(StoreWriter store)
    {
        using ISeriesSet set = store.Reader.Select(0, long.MaxValue / 2, [new LabelMatcher(Core.Model.MatchType.Equal, "__name__", "orders_total")], CancellationToken.None);
        Assert.Equal(SeriesCount, set.Count);
        var buffer = new SampleBuffer();
        long firstMs = _nextMs - (_ticks * 1000L);
        for (int s = 0; s < SeriesCount; s++)
        {
            set.Read(s, buffer);
            int slot = int.Parse(set.LabelsAt(s).Get("shop")[1..], System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(_ticks, buffer.Count);
            for (int i = 0; i < _ticks; i++)
                Assert.Equal((firstMs + (i * 1000L), (double)((slot * 1000) + (i / (slot + 1)))), (buffer.Times[i], buffer.Values[i]));
        }
    }
}
