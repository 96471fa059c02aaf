using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Bellwether.Agent.Bundles;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Core.Bundles;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Ingest.Bundles;
using Bellwether.Ingest.Completeness;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Agent.Tests.Bundles;

/// <summary>The real spool's records over a bundle into the real store, and the receipt back.</summary>
public sealed class BundleJourneyTests : IAsyncDisposable
{
    private const int SeriesCount = 10;
    private const long StartMs = 1_700_000_000_000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bellwether-bundle-");
    private readonly Meter _meter = new("test");
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(StartMs + 3_600_000));
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256), _aggregator = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly SourceTable _table = new("shop", 1000), _chat = new("chat", 1000);
    private readonly SourceTick _tick = new();
    private readonly LateRanges _late;
    private readonly StoreWriter _store;
    private PrioritySpool _spool;
    private long _nextMs = StartMs;
    private int _ticks;

    public BundleJourneyTests()
    {
        for (int i = 0; i < SeriesCount; i++)
            _table.Add(Labels.Of("__name__", "orders_total", "shop", $"s{i}"));
        _chat.Add(Labels.Of("__name__", "chat_total"));
        _spool = Open(new SpoolOptions());
        _store = StoreWriter.Open(new StoreOptions { Folder = Path.Combine(_folder.FullName, "store"), MinFreeBytes = 0 }, new OsDisk(), _time, new Random(2), _meter, NullLogger.Instance);
        _late = new LateRanges(new LateRangesOptions(), new OsDisk(), _folder.FullName, _time, _meter);
        File.WriteAllText(PathOf("aggregator.pub"), _aggregator.ExportSubjectPublicKeyInfoPem());
    }

    public async ValueTask DisposeAsync()
    {
        _spool.Dispose();
        await _store.DisposeAsync();
        _meter.Dispose();
        _key.Dispose();
        _aggregator.Dispose();
        _folder.Delete(recursive: true);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_bundle_brings_everything_once_however_often_it_comes_and_its_receipt_frees_the_spool(bool encrypted)
    {
        for (int i = 0; i < 5; i++)
            CollectSegment(20);
        BundleExported exported = Export("a.bwb", encrypted: encrypted);
        Assert.Equal(5, exported.Manifest.Segments.Count);
        Assert.Equal(100, _spool.Records);
        BundleImported first = await ImportAsync(exported);
        Assert.Equal((100, 1000, 0), (first.Records, first.Samples, first.AlreadyHeld));
        BundleImported second = await ImportAsync(exported);
        Assert.Equal((0, 0, 5), (second.Records, second.Samples, second.AlreadyHeld));
        AssertAllThere();
        Assert.Equal(new LateRange("site", "shop", StartMs, _nextMs - 1000), Assert.Single(_late.List()));
        CollectSegment(3);
        Assert.Equal(5, Take(second));
        Assert.Equal(3, _spool.Records);
        Assert.Equal(0, Take(second));
    }

    [Fact]
    public async Task Times_are_rounded_outwards_to_whole_segments_and_what_is_left_out_is_told_as_a_gap()
    {
        for (int i = 0; i < 5; i++)
            CollectSegment(10);
        BundleExported exported = Export("a.bwb", sinceMs: StartMs + 15_000, untilMs: StartMs + 25_000);
        Assert.Equal([(StartMs + 10_000, StartMs + 19_000), (StartMs + 20_000, StartMs + 29_000)], exported.Manifest.Segments.Select(s => (s.FromMs, s.ToMs)));
        BundleImported imported = await ImportAsync(exported);
        Assert.Equal((20, 3), (imported.Records, imported.Missing.Count));
        Assert.Equal(2, Take(imported));
        Assert.Equal(30, _spool.Records);
        // What was left out comes with the next one; the gaps close.
        BundleImported rest = await ImportAsync(Export("b.bwb"));
        Assert.Equal((30, 0), (rest.Records, rest.Missing.Count));
        AssertAllThere();
    }

    [Fact]
    public async Task What_the_wire_brought_in_part_is_completed_and_not_doubled()
    {
        CollectSegment(20);
        var held = new List<HeldSegment>();
        _spool.StartSegment();
        _spool.ListHeld(held);
        var records = new List<ReadOnlyMemory<byte>>();
        Assert.True(_spool.TryRead(held[0].Id, 0, 1 << 20, records));
        var key = new SegmentKey("site", held[0].Id.Epoch, held[0].Id.Number, held[0].Id.Nonce);
        Assert.Equal(RunOutcome.Applied, (await _store.ApplyAsync(new RecordRun(key, 0, records[..7], false), CancellationToken.None)).Outcome);
        BundleImported imported = await ImportAsync(Export("a.bwb"));
        Assert.Equal(130, imported.Samples);
        AssertAllThere();
    }

    [Fact]
    public async Task A_bundle_that_is_refused_changes_nothing()
    {
        CollectSegment(20);
        BundleExported exported = Export("a.bwb");
        byte[] bytes = await File.ReadAllBytesAsync(exported.Files[0]);
        bytes[200] ^= 1;
        await File.WriteAllBytesAsync(exported.Files[0], bytes);
        Assert.Equal(BundleOutcome.Altered, (await ImportAsync(exported)).Verdict.Outcome);
        Assert.Empty(_late.List());
        using ISeriesSet set = Select();
        Assert.Equal(0, set.Count);
    }

    [Fact]
    public async Task Records_of_all_classes_of_an_encrypted_spool_are_carried()
    {
        _spool.Dispose();
        string key = PathOf("spool.key");
        File.WriteAllText(key, Convert.ToHexString(RandomNumberGenerator.GetBytes(32)));
        _spool = Open(new SpoolOptions { WhenFull = SpoolPolicy.ByPriority, Keys = SpoolKeys.Load([new SpoolKeySection { Id = "k", File = key }]) });
        CollectSegment(5);
        _tick.Begin(_chat, StartMs);
        _tick.Set(0, 1);
        _tick.Complete();
        Assert.Equal(SpoolAppend.Appended, _spool.Append(_tick));
        BundleExported exported = Export("a.bwb");
        Assert.Equal(2, exported.Manifest.Segments.Count);
        BundleImported imported = await ImportAsync(exported);
        Assert.Equal(51, imported.Samples);
        AssertAllThere();
        Assert.Equal(2, Take(imported));
        Assert.Equal(0, _spool.Records);
    }

    [Fact]
    public void A_receipt_of_another_aggregator_frees_nothing()
    {
        CollectSegment(5);
        BundleExported exported = Export("a.bwb");
        var receipt = new BundleReceipt { Bundle = exported.Manifest.Bundle, Agent = "site", Store = "s", CreatedMs = 1, Held = exported.Manifest.Segments };
        File.WriteAllBytes(PathOf("r"), receipt.Write(_key));
        Assert.Contains("WrongSignature", Assert.Throws<IOException>(() => BundleReceipts.Apply(PathOf("r"), Config(), _spool)).Message, StringComparison.Ordinal);
        Assert.Equal(5, _spool.Records);
    }

    [Fact]
    public async Task The_outbox_hands_everything_over_and_announces_it_again_so_that_a_lost_bundle_shows()
    {
        File.WriteAllText(PathOf("agent.key"), _key.ExportPkcs8PrivateKeyPem());
        string outbox = PathOf("outbox");
        BundleOutbox Outbox() => new(new OutboxSection { Folder = outbox }, Config, _spool, new OsDisk(), _time, new Random(4), _meter, NullLogger.Instance);
        BundleOutbox first = Outbox();
        CollectSegment(5);
        first.Step();
        first.Step();
        string lost = Assert.Single(Directory.GetFiles(outbox));
        Assert.Equal(0, _spool.Records);
        File.Move(lost, PathOf("later.bwb"));
        _time.Advance(TimeSpan.FromSeconds(60));
        // A new process remembers what was announced.
        CollectSegment(5);
        Outbox().Step();
        BundleImported imported = await ImportAsync([Assert.Single(Directory.GetFiles(outbox))]);
        BundleSegment missing = Assert.Single(imported.Missing);
        Assert.Equal((StartMs, StartMs + 4000, 5UL), (missing.FromMs, missing.ToMs, missing.Records));
        Assert.Empty((await ImportAsync([PathOf("later.bwb")])).Missing);
        AssertAllThere();
    }

    [Fact]
    public async Task A_bundle_brings_the_agents_own_counts_and_a_later_word_of_the_wire_stays()
    {
        CollectSegment(5);
        BundleExported exported = Export("a.bwb");
        var ledger = new List<SourceLedger>();
        _spool.ListLedger(ledger);
        var book = new FleetBook(new CompletenessOptions(), _store.Engine, NullLogger.Instance, [], []);
        async Task<ReportedSource?> ImportedAsync()
        {
            using var reader = new BundleReader(new OsDisk(), exported.Files);
            await new BundleImport(_store, _late, _time, book).RunAsync(reader, new BundleTrust(agent => agent == "site" ? _key : null, _aggregator), null, CancellationToken.None);
            return book.Agents().Single(a => a.Id == "site").Reported is [var only] ? only : null;
        }
        Assert.Equal(ledger[0].Produced, (await ImportedAsync())?.Produced);
        Assert.True(ledger[0].Produced > 0);
        _time.Advance(TimeSpan.FromSeconds(5));
        book.Reported("site", _time.GetUtcNow().ToUnixTimeMilliseconds(), [new ReportedSource(ledger[0].Name, 7777, 0, 0, 0, [])]);
        Assert.Equal(7777, (await ImportedAsync())?.Produced);
    }

    [Fact]
    public async Task What_a_bundle_brought_does_not_count_as_buffered_and_what_it_left_out_does()
    {
        for (int i = 0; i < 5; i++)
            CollectSegment(10);
        var book = new FleetBook(new CompletenessOptions(), _store.Engine, NullLogger.Instance, [], []);
        async Task<(ReportedSource Reported, long Stored)> ImportedAsync(string file, long untilMs)
        {
            BundleExported exported = Export(file, untilMs: untilMs);
            using var reader = new BundleReader(new OsDisk(), exported.Files);
            await new BundleImport(_store, _late, _time, book).RunAsync(reader, new BundleTrust(_ => _key, _aggregator), null, CancellationToken.None);
            AgentFacts facts = book.Agents().Single(a => a.Id == "site");
            SourceCompleteness source = Assert.Single(CompletenessView.Of(facts, _store.Engine.Ledgers().Single(l => l.Agent == "site"), 0, long.MaxValue, _nextMs).Sources);
            return (source.Reported!, source.Stored.Samples);
        }
        (ReportedSource part, long stored) = await ImportedAsync("a.bwb", StartMs + 15_000);
        Assert.Equal((500, 300, 200, StartMs + 20_000, _nextMs - 1000), (part.Produced, part.Buffered, stored, part.BufferedFromMs, part.BufferedToMs));
        _time.Advance(TimeSpan.FromSeconds(5));
        (ReportedSource all, stored) = await ImportedAsync("b.bwb", long.MaxValue);
        Assert.Equal((500, 0, 500), (all.Produced, all.Buffered, stored));
        Assert.Equal(50, _spool.Records);
    }

    [Fact]
    public void An_outbox_that_nobody_empties_keeps_the_records_in_the_spool()
    {
        File.WriteAllText(PathOf("agent.key"), _key.ExportPkcs8PrivateKeyPem());
        Directory.CreateDirectory(PathOf("outbox"));
        File.WriteAllBytes(Path.Combine(PathOf("outbox"), "old.bwb"), new byte[2 << 20]);
        CollectSegment(5);
        new BundleOutbox(new OutboxSection { Folder = PathOf("outbox"), MaxSize = new ByteSize(1 << 20) }, Config, _spool, new OsDisk(), _time, new Random(4), _meter, NullLogger.Instance).Step();
        Assert.Single(Directory.GetFiles(PathOf("outbox")));
        Assert.Equal(5, _spool.Records);
    }

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);

    private AgentConfig Config() => new()
    {
        Agent = new AgentSection { Id = "site" },
        Spool = new SpoolSection { Path = PathOf("spool") },
        Bundle = new BundleSection { KeyFile = PathOf("agent.key"), ReceiptKeyFile = PathOf("aggregator.pub") },
    };

    private PrioritySpool Open(SpoolOptions options) =>
        PrioritySpool.Open(new OsDisk(), PathOf("spool"), options, _time, new Random(1), _meter, source => source == "chat" ? SpoolPriority.Low : SpoolPriority.Normal);

    private void CollectSegment(int count)
    {
        _spool.StartSegment();
        for (int i = 0; i < count; i++, _nextMs += 1000, _ticks++)
        {
            _tick.Begin(_table, _nextMs);
            for (int slot = 0; slot < SeriesCount; slot++)
                _tick.Set(slot, (slot * 1000) + _ticks);
            _tick.Complete();
            Assert.Equal(SpoolAppend.Appended, _spool.Append(_tick));
        }
        Assert.Equal(LogSync.Durable, _spool.Sync());
    }

    private BundleExported Export(string file, long sinceMs = long.MinValue, long untilMs = long.MaxValue, bool encrypted = false) =>
        new BundleExport(_spool, new OsDisk(), _time, new Random(file[0])).Run(new BundleRequest(PathOf(file), sinceMs, untilMs, 0), new BundleIdentity("site", "1", _key, encrypted ? _aggregator : null), []);

    private Task<BundleImported> ImportAsync(BundleExported exported) => ImportAsync(exported.Files);

    private async Task<BundleImported> ImportAsync(IReadOnlyList<string> files)
    {
        using var reader = new BundleReader(new OsDisk(), files);
        return await new BundleImport(_store, _late, _time).RunAsync(reader, new BundleTrust(agent => agent == "site" ? _key : null, _aggregator), null, CancellationToken.None);
    }

    private int Take(BundleImported imported)
    {
        File.WriteAllBytes(PathOf("receipt"), new BundleImport(_store, _late, _time).ReceiptOf(imported).Write(_aggregator));
        return BundleReceipts.Apply(PathOf("receipt"), Config(), _spool).Freed;
    }

    private ISeriesSet Select() => _store.Reader.Select(0, long.MaxValue / 2, [new LabelMatcher(Core.Model.MatchType.Equal, "__name__", "orders_total")], CancellationToken.None);

    private void AssertAllThere()
    {
        using ISeriesSet set = Select();
        Assert.Equal(SeriesCount, set.Count);
        var buffer = new SampleBuffer();
        for (int s = 0; s < SeriesCount; s++)
        {
            set.Read(s, buffer);
            int slot = int.Parse(set.LabelsAt(s).Get("shop")[1..], System.Globalization.CultureInfo.InvariantCulture);
            Assert.Equal(_ticks, buffer.Count);
            for (int i = 0; i < _ticks; i++)
                Assert.Equal((StartMs + (i * 1000L), (double)((slot * 1000) + i)), (buffer.Times[i], buffer.Values[i]));
        }
    }
}
