using System.Net;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Serve.RemoteWrite;

namespace Bellwether.Aggregator.Tests.Serve;

/// <summary>Appending to a running aggregator, as an import does: what waits says why.</summary>
public sealed class RemoteAppenderTests
{
    [Fact]
    public async Task A_batch_that_has_to_wait_says_once_why_and_is_sent_again()
    {
        var time = new VirtualTime();
        var told = new List<string>();
        var answers = new Queue<HttpStatusCode>([HttpStatusCode.ServiceUnavailable, HttpStatusCode.ServiceUnavailable, HttpStatusCode.NoContent]);
        using var appender = new RemoteAppender(new Uri("http://aggregator:9090/"), new Answers(answers), time, told.Add);
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "m"), 1000, 1));

        Task<AppendResult> appended = appender.AppendAsync(batch, CancellationToken.None).AsTask();
        while (!appended.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
        Assert.Equal(1, (await appended)[AppendOutcome.Stored]);
        Assert.Equal(["http://aggregator:9090/api/v1/write: 503 the disk is full; it is tried 11 times more"], told);
        Assert.Empty(answers);
    }

    private sealed class Answers(Queue<HttpStatusCode> statuses) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var answer = new HttpResponseMessage(statuses.Dequeue()) { Content = new StringContent("the disk is full\n") };
            if (answer.IsSuccessStatusCode)
                answer.Headers.Add(RemoteWriteReceiver.SamplesWritten, "1");
            return Task.FromResult(answer);
        }
    }
}
