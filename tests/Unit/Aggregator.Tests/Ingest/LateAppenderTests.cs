using System.Diagnostics.Metrics;
using Bellwether.Core.Model;
using Bellwether.Ingest;
using Bellwether.Ingest.Bundles;
using Bellwether.Kit;

namespace Bellwether.Aggregator.Tests.Ingest;

public sealed class LateAppenderTests : IDisposable
{
    private readonly Meter _meter = new("late-appender-tests");

    public void Dispose() => _meter.Dispose();

    [Theory]
    [InlineData("none", 1)]
    [InlineData("cut off", 1)]
    [InlineData("not durable", 1)]
    [InlineData("full", 0)]
    public async Task What_may_have_been_stored_although_that_was_not_said_is_evaluated_again(string failure, int ranges)
    {
        var time = new VirtualTime();
        var late = new LateRanges(new LateRangesOptions(), new FaultyDisk(new Random(1)), "/data", time, _meter) { EvaluatedMs = () => time.NowMs };
        Exception? thrown = failure switch
        {
            "cut off" => new OperationCanceledException(),
            "not durable" => new StoreUnavailableException("the store could not write to its disk", new IOException("a sync")),
            "full" => new StoreUnavailableException("the disk is full"),
            _ => null,
        };
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), time.NowMs - 60_000, 1));
        Exception? came = await Record.ExceptionAsync(async () => await new LateAppender(new Failing(thrown), late).AppendAsync(batch, CancellationToken.None));
        Assert.Same(thrown, came);
        Assert.Equal(ranges, late.Count);
    }

    private sealed class Failing(Exception? failure) : ISampleAppender
    {
        public ValueTask<AppendResult> AppendAsync(SampleBatch batch, CancellationToken cancellation)
        {
            var result = new AppendResult();
            result.Add(AppendOutcome.Stored);
            return failure is null ? ValueTask.FromResult(result) : ValueTask.FromException<AppendResult>(failure);
        }
    }
}
