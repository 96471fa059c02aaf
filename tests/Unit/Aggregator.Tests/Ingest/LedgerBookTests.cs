using Bellwether.Ingest;
using Bellwether.V1;

namespace Bellwether.Aggregator.Tests.Ingest;

public sealed class LedgerBookTests
{
    [Fact]
    public void What_an_agent_reports_is_kept_within_bounds()
    {
        var options = new IngestOptions();
        var book = new LedgerBook();
        for (int r = 0; r < 3; r++)
        {
            var report = new Report();
            for (int s = 0; s < 1500; s++)
            {
                var source = new SourceReport { Name = $"source {r} {s}", Produced = 5 };
                source.Dropped.Add(new DroppedSamples { Reason = new string('x', 65), Samples = 1 });
                for (int d = 0; d < 100; d++)
                    source.Dropped.Add(new DroppedSamples { Reason = "reason " + d, Samples = 1 });
                report.Sources.Add(source);
            }
            book.Take(report, 1, options);
        }
        AgentLedger ledger = book.Snapshot("a");
        Assert.Equal(options.MaxSourcesPerAgent, ledger.Sources.Count);
        Assert.All(ledger.Sources.Values, s => Assert.Equal(16, s.Dropped.Count));
        Assert.Equal("reason 0", ledger.Sources["source 0 0"].Dropped[0].Reason);
    }

    [Fact]
    public void A_source_that_a_report_names_twice_is_there_once_as_told_last()
    {
        var report = new Report { Sources = { new SourceReport { Name = "a", Produced = 5 }, new SourceReport { Name = "a", Produced = 7 } } };
        var book = new LedgerBook();
        book.Take(report, 1, new IngestOptions());
        Assert.Equal(7UL, Assert.Single(book.Sources).Produced);
    }
}
