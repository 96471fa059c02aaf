using System.Diagnostics.Metrics;
using System.Text;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Kit;
using Bellwether.Store;
using Bellwether.Store.Blocks;
using Bellwether.Store.Exchange;
using Bellwether.Store.Upkeep;
using Microsoft.Extensions.Logging.Abstractions;
using MatchType = Bellwether.Core.Model.MatchType;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>What a store does with samples that became slots of a coarser resolution: it keeps, refuses, deletes, copies and tells.</summary>
public sealed class CoarseStoreTests : IDisposable
{
    private const long Hour = 3_600_000;
    private readonly VirtualTime _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_800_000_000_000));
    private readonly Meter _meter = new("coarse-store-tests");
    private readonly MemoryDisk _disk = new();
    private readonly PromQlEngine _engine;
    private readonly long _startMs;
    private StoreOptions _options = new()
    {
        Folder = "/store",
        MinFreeBytes = 0,
        CoarsensWhateverTheSize = true,
        PartitionGrace = TimeSpan.FromMinutes(1),
        Retention = TimeSpan.FromHours(6),
        Resolutions = [new CoarseResolution(TimeSpan.FromMinutes(5), TimeSpan.FromHours(24)), new CoarseResolution(TimeSpan.FromHours(1), TimeSpan.FromHours(72))],
    };

    public CoarseStoreTests()
    {
        _engine = new PromQlEngine(new EngineOptions { Experimental = true }, _time);
        _startMs = _time.NowMs;
    }

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Samples_become_slots_of_five_minutes_then_of_an_hour_and_then_go()
    {
        using StoreEngine store = Open();
        Live(store, 90);
        BlockFile[] files = store.Blocks.Files;
        Assert.Equal([0, 300_000, 3_600_000], files.Select(f => f.ResolutionMs).Distinct().Order());
        long now = _time.NowMs;
        Assert.All(files, f => Assert.True(f.Footer.MaxMs >= now - (f.ResolutionMs switch { 0 => 9, 300_000 => 31, _ => 87 } * Hour), $"{f.Name} of {f.ResolutionMs} ends {(now - f.Footer.MaxMs) / Hour} hours ago"));
        Assert.InRange(now - files.Min(f => f.Footer.MinMs), 72 * Hour, 90 * Hour);
        // A file stands for each time once.
        List<BlockFile> byTime = [.. files.OrderBy(f => f.Footer.MinMs)];
        Assert.All(byTime.Zip(byTime.Skip(1)), pair => Assert.True(pair.First.Footer.MaxMs < pair.Second.Footer.MinMs));
        Assert.True(store.CoarsenedFiles > 10);
        Assert.Equal(70 * 60, Value(store, "count_over_time(up_total[70h])", now - Hour));
    }

    [Fact]
    public void What_comes_for_a_time_of_slots_is_refused_and_counted_and_still_is_when_raw_retention_is_made_longer()
    {
        using (StoreEngine store = Open())
        {
            Live(store, 20);
            Assert.Equal(AppendOutcome.TooOld, Append(store, "up_total", _time.NowMs - (8 * Hour), 7));
        }
        _options = _options with { Retention = TimeSpan.FromHours(23) };
        using StoreEngine longer = Open();
        long newest = longer.Blocks.Files.Where(f => f.ResolutionMs > 0).Max(f => f.Footer.MaxMs);
        Assert.Equal(AppendOutcome.TooOld, Append(longer, "up_total", newest, 7));
        Assert.Equal(AppendOutcome.TooOld, Append(longer, "other", newest - 1000, 7));
        Assert.Equal(AppendOutcome.Stored, Append(longer, "up_total", newest + 1, 7));
        Assert.Equal(2, longer.Outcomes[(int)AppendOutcome.TooOld]);
        longer.Commit();
        Assert.Equal(60, Value(longer, "count_over_time(up_total[1h])", (_startMs / Hour * Hour) + (5 * Hour)));
    }

    [Fact]
    public void Nothing_becomes_slots_while_memory_holds_something_as_old()
    {
        using StoreEngine store = Open();
        for (int i = 0; i < 9 * 60; i++)
            Tick(store);
        store.Maintain();
        // Just young enough, and not in a file before the next cut.
        long late = _time.NowMs - (6 * Hour) + 1000;
        Assert.Equal(AppendOutcome.Stored, Append(store, "late", late, 1));
        for (int i = 0; i < 150; i++)
            Tick(store);
        Assert.Contains(store.Blocks.Files, f => f.Footer.MaxMs >= late && f.Footer.MaxMs < _time.NowMs - (6 * Hour));
        store.MergeFiles(CancellationToken.None);
        Assert.DoesNotContain(store.Blocks.Files, f => f.ResolutionMs > 0 && f.Footer.MaxMs >= late);
        Live(store, 4);
        Assert.Contains(store.Blocks.Files, f => f.ResolutionMs > 0 && f.Footer.MaxMs >= late);
        Assert.Equal(1, Value(store, "count(last_over_time(late[12h]))", _time.NowMs / Hour * Hour));
    }

    [Fact]
    public void Deleted_series_are_gone_from_slots_and_a_slot_that_a_deletion_cuts_goes_whole()
    {
        using StoreEngine store = Open();
        Live(store, 48);
        long from = (_startMs / Hour * Hour) + (3 * Hour), at = from + (6 * Hour);
        Assert.Equal(6 * 60, Value(store, "count_over_time(up_total[6h])", at));
        Delete(store, "up_total", from + (30 * 60_000), from + (2 * Hour) - 60_000);
        // From 0:30 to 1:59: the hours that end at 1:00 and 2:00 are gone.
        Assert.Equal(4 * 60, Value(store, "count_over_time(up_total[6h])", at));
        Assert.Equal(6 * 60, Value(store, "count_over_time(load[6h])", at));
        Delete(store, "load", long.MinValue, long.MaxValue);
        Assert.Empty(_engine.Instant(store.Reader, "last_over_time(load[72h])", _time.NowMs / Hour * Hour).Series);
        Assert.DoesNotContain("load", store.Reader.LabelValues("__name__", long.MinValue, long.MaxValue, [], CancellationToken.None));
    }

    [Fact]
    public void Of_slots_nobody_counts_what_a_sender_sent()
    {
        using StoreEngine store = Open();
        Live(store, 20);
        var senders = new SenderCoverage(store.Reader);
        Labels[] series = [Labels.Of("__name__", "up_total")];
        long old = (_startMs / Hour * Hour) + (4 * Hour);
        Assert.Equal(new Coverage(0, 0, 1) { IsSettled = true, IsUncounted = true }, senders.Of(series, old - Hour, old, _time.NowMs, CancellationToken.None));
        Coverage recent = senders.Of(series, _time.NowMs - (2 * Hour), _time.NowMs - Hour, _time.NowMs, CancellationToken.None);
        Assert.True(recent is { IsUncounted: false, Due: >= 60 } && recent.Received == recent.Due, recent.ToString());
    }

    [Fact]
    public void A_restart_and_a_copy_have_the_slots_and_verify_finds_them_whole()
    {
        long at = (_startMs / Hour * Hour) + (10 * Hour);
        using (StoreEngine store = Open())
        {
            Live(store, 40);
            using StoreSnapshot snapshot = store.BeginSnapshot();
            snapshot.CopyTo("/copy", 0, CancellationToken.None);
        }
        StoreReport report = StoreVerifier.Verify(_disk, "/copy", (_, _) => { }, CancellationToken.None);
        Assert.Empty(report.Damage);
        Assert.True(report.ChunkFiles > 2);
        foreach (string folder in (string[])["/store", "/copy"])
        {
            using StoreEngine again = Open(folder);
            Assert.Equal(5 * 60, Value(again, "count_over_time(up_total[5h])", at));
        }
    }

    [Fact]
    public void An_export_writes_samples_only_and_counts_the_slots()
    {
        using StoreEngine store = Open();
        Live(store, 40);
        using var text = new MemoryStream();
        using var export = new OpenMetricsExport(text);
        export.Write(store.Reader, new ExportRange([], long.MinValue, long.MaxValue), (_, _) => { }, CancellationToken.None);
        long samples = store.Blocks.Files.Where(f => f.ResolutionMs == 0).Sum(f => f.Footer.Samples);
        Assert.Equal(store.Blocks.Files.Where(f => f.ResolutionMs > 0).Sum(f => f.Footer.Samples), export.Result.SlotsLeftOut);
        Assert.InRange(export.Result.Samples, samples, samples + (3 * 60 * 3));
        Assert.Equal(export.Result.Samples + 1, Encoding.UTF8.GetString(text.ToArray()).Count(c => c == '\n'));
    }

    [Fact]
    public void What_has_no_exact_form_in_slots_stays_as_samples()
    {
        using StoreEngine store = Open();
        var revised = Labels.Of("__name__", "revised");
        for (int i = 0; i < 20 * 60; i++)
        {
            var batch = new SampleBatch();
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "started_total"), _time.NowMs, i, null, _startMs - 1));
            batch.Samples.Add(new SeriesSample(revised, _time.NowMs, i));
            if (i % 2 == 0)
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "rare"), _time.NowMs, i));
            if (i == 100)
                batch.Samples.Add(new SeriesSample(Labels.Of("__name__", "revised", Revision.Label, "1"), _time.NowMs, 5000));
            store.AppendBatch(batch);
            _time.Advance(TimeSpan.FromMinutes(1));
        }
        Live(store, 3);
        Assert.Contains(store.Blocks.Files, f => f.ResolutionMs > 0);
        var reader = new RevisionReader(store.Reader);
        long at = _startMs + (3 * Hour) + 12_345;
        foreach (string query in (string[])["quantile_over_time(0.5, started_total[2h])", "quantile_over_time(0.5, rare[2h])", "max_over_time(revised[2h])"])
        {
            QueryResult result = _engine.Instant(reader, query, at);
            Assert.Null(result.Error);
            Assert.Single(result.Series);
        }
        Assert.Equal(5000, _engine.Instant(reader, "max_over_time(revised[2h])", at).Series[0].Points[0].Value);
    }

    [Fact]
    public void A_coarser_file_takes_what_is_smaller_and_answers_the_same()
    {
        _options = _options with { CoarsensWhateverTheSize = false, Resolutions = [new CoarseResolution(TimeSpan.FromHours(1), TimeSpan.FromHours(72))] };
        using StoreEngine store = Open();
        var random = new Random(7);
        for (int i = 0; i < 20 * 60; i++)
        {
            // Noise is larger as samples, a line is not.
            Append(store, "noise", _time.NowMs, random.NextDouble());
            Append(store, "line", _time.NowMs, i);
            _time.Advance(TimeSpan.FromMinutes(1));
        }
        Live(store, 1);
        long at = (_startMs / Hour * Hour) + (6 * Hour);
        Assert.Contains(store.Blocks.Files, f => f.ResolutionMs > 0 && f.Footer.MaxMs > at);
        Assert.Null(_engine.Instant(store.Reader, "quantile_over_time(0.5, line[2h])", at).Error);
        Assert.Contains("needs samples", _engine.Instant(store.Reader, "quantile_over_time(0.5, noise[2h])", at).Error!.Message, StringComparison.Ordinal);
        Assert.Equal(120, Value(store, "count_over_time(line[2h])", at));
        Assert.Equal(120, Value(store, "count_over_time(noise[2h])", at));
    }

    [Fact]
    public void A_slot_of_nothing_but_NaN_does_not_hide_that_sums_over_others_may_be_rounded()
    {
        using StoreEngine store = Open();
        var random = new Random(7);
        for (int i = 0; i < 20 * 60; i++)
        {
            // The first five hours.
            Append(store, "rough", _time.NowMs, i < 300 ? double.NaN : random.NextDouble());
            Append(store, "even", _time.NowMs, i < 300 ? double.NaN : i);
            Append(store, "empty", _time.NowMs, i < 600 ? double.NaN : random.NextDouble());
            _time.Advance(TimeSpan.FromMinutes(1));
        }
        Live(store, 1);
        // One step whose window has the NaNs, one whose window has none.
        long nan = (_startMs / Hour * Hour) + (4 * Hour), clean = nan + (5 * Hour);
        foreach (string function in (string[])["rate", "sum_over_time"])
        {
            QueryResult rough = _engine.Range(store.Reader, $"{function}(rough[2h])", nan, clean, clean - nan);
            Assert.Equal(2, Assert.Single(rough.Series).Points.Count);
            Assert.Equal(function == "rate", rough.Infos.Any(i => i.Contains("last bits", StringComparison.Ordinal)));
            Assert.DoesNotContain(_engine.Range(store.Reader, $"{function}(even[2h])", nan, clean, clean - nan).Infos, i => i.Contains("last bits", StringComparison.Ordinal));
            Assert.DoesNotContain(_engine.Instant(store.Reader, $"{function}(empty[2h])", nan).Infos, i => i.Contains("last bits", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Steps_that_slots_cannot_answer_are_left_out_for_all_series_and_told()
    {
        using StoreEngine store = Open();
        Live(store, 20);
        long hour = (_startMs / Hour * Hour) + (4 * Hour);
        // Every other step lies within slots.
        QueryResult half = _engine.Range(store.Reader, "sum(rate(up_total[1h]))", hour, hour + (2 * Hour), 150_000);
        Assert.Null(half.Error);
        string told = Assert.Single(half.Warnings);
        Assert.Contains("24 of 49 steps have no result: only slots of up to 5m are kept of a part of the range (retention): rate is exact where the windows begin and end at multiples of 5m", told, StringComparison.Ordinal);
        Assert.Equal(25, Assert.Single(half.Series).Points.Count);
        Assert.All(half.Series[0].Points, p => Assert.Equal(0, p.TimestampMs % 300_000));
        QueryResult none = _engine.Instant(store.Reader, "rate(up_total[1h])", hour + 90_000);
        Assert.Equal(QueryErrorKind.Execution, none.Error!.Kind);
        Assert.Contains("choose times, step, range and offset so", none.Error.Message, StringComparison.Ordinal);
        // The window begins among the slots and ends among the samples.
        Assert.NotNull(_engine.Instant(store.Reader, "sum_over_time(up_total[18h])", _time.NowMs - 97_000).Error);
        Assert.Null(_engine.Instant(store.Reader, "sum_over_time(up_total[1h])", _time.NowMs - 97_000).Error);
    }

    [Theory]
    [InlineData("quantile_over_time(0.9, up_total[1h])")]
    [InlineData("stddev_over_time(up_total[1h])")]
    [InlineData("irate(up_total[1h])")]
    [InlineData("deriv(up_total[1h])")]
    [InlineData("up_total[1h]")]
    public void What_needs_samples_says_so(string query)
    {
        using StoreEngine store = Open();
        Live(store, 20);
        long hour = (_startMs / Hour * Hour) + (4 * Hour);
        QueryResult result = _engine.Instant(store.Reader, query, hour);
        Assert.Equal(QueryErrorKind.Execution, result.Error?.Kind);
        Assert.Contains("only slots of up to 5m are kept", result.Error!.Message, StringComparison.Ordinal);
        Assert.Null(_engine.Instant(store.Reader, query, _time.NowMs).Error);
    }

    [Theory]
    [InlineData("increase(up_total[1h] smoothed)", "increase is exact where the windows begin and end at multiples of 5m")]
    [InlineData("up_total smoothed", "values between multiples of 5m are not known")]
    public void What_is_smoothed_is_known_at_the_ends_of_slots_and_says_so(string query, string why)
    {
        using StoreEngine store = Open();
        Live(store, 20);
        long hour = (_startMs / Hour * Hour) + (4 * Hour);
        Assert.Single(_engine.Instant(store.Reader, query, hour).Series);
        QueryResult between = _engine.Instant(store.Reader, query, hour + 90_000);
        Assert.Equal(QueryErrorKind.Execution, between.Error?.Kind);
        Assert.Contains(why, between.Error!.Message, StringComparison.Ordinal);
        Assert.Single(_engine.Instant(store.Reader, query, _time.NowMs - 90_000).Series);
    }

    [Fact]
    public void Between_the_ends_of_slots_an_instant_selector_gives_the_newest_sample_that_is_known()
    {
        using StoreEngine store = Open();
        Live(store, 60);
        long hour = (_startMs / Hour * Hour) + (4 * Hour);
        QueryResult between = _engine.Instant(store.Reader, "timestamp(up_total)", hour + (30 * 60_000));
        Assert.Contains("values are up to 1h old where only slots are kept", Assert.Single(between.Infos), StringComparison.Ordinal);
        Assert.InRange(between.Series[0].Points[0].Value * 1000, hour, hour + 60_000);
        QueryResult end = _engine.Instant(store.Reader, "timestamp(up_total)", hour + Hour);
        Assert.Empty(end.Infos);
        Assert.InRange(end.Series[0].Points[0].Value * 1000, hour + Hour - 60_000, hour + Hour);
    }

    [Fact]
    public void Little_room_is_enough_to_become_coarser_and_what_takes_more_is_given_up_without_a_trace()
    {
        using StoreEngine store = Open();
        for (int i = 0; i < 9 * 60; i++)
            Tick(store);
        store.Commit();
        store.Maintain();
        // Constant within slots: a slot is no smaller than the few samples of it here.
        long bytes = store.Blocks.Files.Min(f => f.Bytes);
        _disk.Free = (bytes / 4) + 1;
        store.MergeFiles(CancellationToken.None);
        Assert.Equal(0, store.CoarsenedFiles);
        Assert.DoesNotContain(_disk.Paths, p => p.EndsWith(".new", StringComparison.Ordinal));
        Assert.Equal(0, store.FailedMerges);
        _disk.Free = 1 << 20;
        store.MergeFiles(CancellationToken.None);
        Assert.True(store.CoarsenedFiles > 0);
    }

    [Fact]
    public void On_a_full_disk_what_waits_to_become_coarser_goes_oldest_first_and_nothing_else()
    {
        _options = _options with { MinFreeBytes = 1000 };
        using StoreEngine store = Open();
        _disk.Free = 1000;
        Live(store, 12);
        Assert.Equal(0, store.CoarsenedFiles);
        // For a moment: nothing goes.
        _disk.Free = 999;
        store.Maintain();
        _disk.Free = 1000;
        _time.Advance(TimeSpan.FromHours(1));
        store.Maintain();
        _disk.Free = 999;
        store.Maintain();
        Assert.Equal(0, store.DroppedEarlyFiles);
        _time.Advance(TimeSpan.FromHours(1));
        List<BlockFile> overdue = [.. store.Blocks.Files.Where(f => f.Footer.MaxMs < _time.NowMs - (6 * Hour)).OrderBy(f => f.Footer.MaxMs)];
        string[] others = [.. store.Blocks.Files.Except(overdue).Select(f => f.Name)];
        Assert.True(overdue.Count >= 2 && others.Length >= 2);
        for (int gone = 1; gone <= overdue.Count; gone++)
        {
            store.Maintain();
            Assert.Equal(overdue.Skip(gone).Select(f => f.Name), store.Blocks.Files.OrderBy(f => f.Footer.MaxMs).Take(overdue.Count - gone).Select(f => f.Name));
            Assert.Equal(gone, store.DroppedEarlyFiles);
        }
        store.Maintain();
        Assert.Equal(overdue.Count, store.DroppedEarlyFiles);
        Assert.All(others, name => Assert.Contains(store.Blocks.Files, f => f.Name == name));
    }

    [Fact]
    public void A_damaged_file_stays_as_it_is_with_all_that_overlap_it()
    {
        BlockFile[] finer;
        using (StoreEngine store = Open())
        {
            for (int i = 0; i < 6 * 60; i++)
                Tick(store);
            store.Maintain();
            finer = store.Blocks.Files;
            foreach (BlockFile file in finer)
                store.Blocks.NoteDamage(file);
            Live(store, 20);
            Assert.All(finer, f => Assert.Contains(store.Blocks.Files, now => now.Name == f.Name));
            Assert.Contains(store.Blocks.Files, f => f.ResolutionMs > 0);
        }
    }

    [Fact]
    public void A_file_that_could_not_be_read_while_its_time_became_coarser_is_put_aside_and_not_counted_beside_the_slots()
    {
        var disk = new FaultyDisk(new Random(1));
        StoreEngine OpenIt() => StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance);
        string name;
        using (StoreEngine store = OpenIt())
        {
            for (int i = 0; i < 6 * 60; i++)
                Tick(store);
            store.Maintain();
            // A late sample has a file of its own, over the same time as another one.
            Append(store, "late_total", _startMs + 60_000, 7);
            _time.Advance(TimeSpan.FromMinutes(2));
            store.Maintain();
            name = store.Blocks.Files.OrderBy(f => f.Footer.Samples).First().Name;
        }
        disk.Fault = (call, path) => call == DiskCall.Open && path.EndsWith(name, StringComparison.Ordinal);
        long at = (_startMs / Hour * Hour) + (5 * Hour);
        double before;
        using (StoreEngine store = OpenIt())
        {
            Live(store, 8);
            Assert.Contains(store.Blocks.Files, f => f.ResolutionMs > 0 && f.Footer.MinMs == _startMs);
            before = Value(store, "sum(count_over_time({__name__=~'.*_total'}[6h]))", at);
        }
        disk.Fault = null;
        using StoreEngine again = OpenIt();
        Assert.Equal(1, again.Opened.QuarantinedFiles);
        Assert.DoesNotContain(again.Blocks.Files, f => f.Name == name);
        Assert.True(disk.Exists("/store/chunks/quarantine/" + name));
        Assert.Equal(before, Value(again, "sum(count_over_time({__name__=~'.*_total'}[6h]))", at));
    }

    [Fact]
    public void Of_no_time_there_are_files_of_two_resolutions_though_a_damaged_file_stays_between()
    {
        using (StoreEngine store = Open())
        {
            Live(store, 8);
            // It stays at five minutes, while what is around it goes on to hours.
            store.Blocks.NoteDamage(store.Blocks.Files.Where(f => f.ResolutionMs > 0).MinBy(f => f.Footer.MinMs)!);
            store.Blocks.NoteDamage(store.Blocks.Files.Where(f => f.ResolutionMs == 0).MinBy(f => f.Footer.MinMs)!);
            for (int i = 0; i < 60; i++)
            {
                Live(store, 1);
                BlockFile[] files = store.Blocks.Files;
                Assert.DoesNotContain(files, f => files.Any(o => o.ResolutionMs > f.ResolutionMs && o.Overlaps(f)));
            }
            Assert.Equal(3, store.Blocks.Files.Select(f => f.ResolutionMs).Distinct().Count());
        }
        using StoreEngine again = Open();
        Assert.Equal(0, again.Opened.QuarantinedFiles);
    }

    /// <summary>A byte of a coarser file is altered, or its end is gone: verify tells it, or every answer is as before; nothing is ever answered wrongly.</summary>
    [Fact]
    public void No_altered_byte_of_a_coarser_file_gives_a_wrong_answer_unnoticed()
    {
        var sound = new FaultyDisk(new Random(1));
        string name;
        using (StoreEngine store = StoreEngine.Open(_options, sound, _time, new Random(1), _meter, NullLogger.Instance))
        {
            Live(store, 12);
            name = store.Blocks.Files.First(f => f.ResolutionMs > 0).Name;
        }
        sound.Crash(onlyProcess: true);
        string path = Path.Combine("/store/chunks", name);
        byte[] whole = sound.Content(path);
        string good = Slots(sound.Copy(new Random(1)), name, out _);
        var random = new Random(20261121);
        int told = 0;
        for (int i = 0; i < 150; i++)
        {
            byte[] broken = [.. whole];
            broken[random.Next(whole.Length)] ^= (byte)(1 << random.Next(8));
            FaultyDisk disk = sound.Copy(new Random(1));
            disk.Put(path, i % 10 == 9 ? broken[..random.Next(whole.Length)] : broken);
            StoreReport report = StoreVerifier.Verify(disk, "/store", (_, _) => { }, CancellationToken.None);
            told += report.IsGood ? 0 : 1;
            string now = Slots(disk, name, out int series);
            Assert.True(now == good || (!report.IsGood && series < 2), $"change {i}: {now}");
        }
        Assert.True(told > 100, $"{told} of 150");
    }

    // The slots of the file's time, series by series.
    private string Slots(FaultyDisk disk, string name, out int series)
    {
        using StoreEngine store = StoreEngine.Open(_options, disk, _time, new Random(1), _meter, NullLogger.Instance);
        using ISeriesSet set = store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
        long partition = long.Parse(name[..name.IndexOf('-')], System.Globalization.CultureInfo.InvariantCulture) * 1000;
        var samples = new SampleBuffer();
        var slots = new List<CoarseSlot>();
        var text = new StringBuilder();
        series = 0;
        for (int i = 0; i < set.Count; i++)
        {
            CoarseSets.Read(set, i, samples, slots);
            slots.RemoveAll(s => s.FirstMs < partition || s.FirstMs >= partition + (2 * Hour));
            series += slots.Count > 0 ? 1 : 0;
            text.AppendJoin(' ', slots);
        }
        return text.ToString();
    }

    [Fact]
    public void Resolutions_that_do_not_build_on_each_other_are_refused()
    {
        foreach (CoarseResolution[] wrong in (CoarseResolution[][])[[new(TimeSpan.FromMinutes(5), TimeSpan.FromHours(5))], [new(TimeSpan.FromMinutes(5), TimeSpan.FromDays(2)), new(TimeSpan.FromMinutes(7), TimeSpan.FromDays(3))]])
        {
            _options = _options with { Resolutions = wrong };
            Assert.Throws<ArgumentException>(() => Open());
        }
    }

    private StoreEngine Open(string folder = "/store") => StoreEngine.Open(_options with { Folder = folder }, _disk, _time, new Random(1), _meter, NullLogger.Instance);

    /// <summary>Hours of one sample a minute, with what is due every hour.</summary>
    private void Live(StoreEngine store, int hours)
    {
        for (int h = 0; h < hours; h++)
        {
            for (int i = 0; i < 60; i++)
                Tick(store);
            store.Commit();
            store.Maintain();
            store.MergeFiles(CancellationToken.None);
        }
    }

    private void Tick(StoreEngine store)
    {
        Append(store, "up_total", _time.NowMs, _time.NowMs / 60_000 % 100_000);
        Append(store, "load", _time.NowMs, _time.NowMs / 60_000 % 7);
        _time.Advance(TimeSpan.FromMinutes(1));
    }

    private static AppendOutcome Append(StoreEngine store, string name, long timeMs, double value)
    {
        var batch = new SampleBatch();
        batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name), timeMs, value));
        AppendResult result = store.AppendBatch(batch);
        return Enum.GetValues<AppendOutcome>().Single(o => result[o] == 1);
    }

    private static void Delete(StoreEngine store, string name, long fromMs, long toMs)
    {
        var deletion = new SeriesDeletion([[new LabelMatcher(MatchType.Equal, "__name__", name)]], fromMs, toMs);
        store.DeleteFromMemory(deletion);
        Assert.Equal(0, store.DeleteFromFiles(deletion, CancellationToken.None).FailedFiles);
    }

    private double Value(StoreEngine store, string query, long timeMs)
    {
        QueryResult result = _engine.Instant(store.Reader, query, timeMs / Hour * Hour);
        Assert.Null(result.Error);
        return Assert.Single(result.Series).Points[0].Value;
    }
}
