using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Bellwether.Core.Bundles;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Kpi.Sla.Evidence;

namespace Bellwether.Aggregator.Tests.Evaluate.Kpi.Sla;

/// <summary>The evidence of a month: made, signed, verified without the aggregator, and refused when it was touched.</summary>
public sealed class EvidenceTests : IDisposable
{
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public void Dispose() => _key.Dispose();

    [Fact]
    public void A_pack_gives_the_numbers_of_the_report_without_the_aggregator()
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site);
        SlaContract contract = site.Set.Slas.Contracts[0];
        (long from, long to) = SlaReport.MonthOf("2027-01", contract.TimeZone)!.Value;
        SlaMonth report = new SlaReport(site.Engine, site.Store, site.Set.Slas).Month(contract, from, to, site.Time.NowMs, default);
        OpenedEvidence opened = EvidencePack.Open(pack, _key);
        EvidenceVerdict verdict = Assert.Single(EvidenceVerifier.Verify(opened, site.Time, default));
        Assert.Empty(verdict.Differences);
        Assert.Equal((report.Value, report.ValueBefore, report.Credit), (verdict.Recomputed.Value, verdict.Recomputed.ValueBefore, verdict.Recomputed.Credit));
        Assert.Equal(report.Before.Total, verdict.Recomputed.TotalBefore);
        Assert.Equal("database-upgrade", Assert.Single(verdict.Recomputed.Corrections).Maintenance);
        Assert.True(opened.IsKnownKey);
        Assert.Equal(Convert.ToHexStringLower(BundleKeys.Fingerprint(_key)), opened.Fingerprint);
        EvidenceContract told = opened.Document.Contracts[0];
        Assert.Equal(("acme", "Acme", "a new version", 40L, 50L, 2), (told.Name, told.Customer, told.Maintenance[0].Reason, told.CoverageReceived, told.CoverageDue, told.CoverageSources));
        Assert.Equal(["sla:measured", "sla:actual", "sla:target", "sla:missed", "sla:state"], told.Rules.Select(r => r.Record));
        Assert.Equal(1, Assert.Single(told.Versions).Number);
        Assert.Equal(2, opened.Document.Series);
        Assert.True(opened.Document.Samples > 17_000);
    }

    [Fact]
    public void What_sha256sum_and_openssl_check_holds_too()
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site);
        using var zip = new ZipArchive(pack, ZipArchiveMode.Read, leaveOpen: true);
        byte[] manifest = Bytes(zip, "manifest.sha256");
        Assert.True(_key.VerifyData(manifest, Bytes(zip, "manifest.sig"), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence));
        foreach (string line in Encoding.ASCII.GetString(manifest).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            Assert.Equal(line[..64], Convert.ToHexStringLower(SHA256.HashData(Bytes(zip, line[66..]))));
    }

    [Fact]
    public void A_number_that_was_made_up_before_signing_is_not_equal()
    {
        using KpiSite site = Site();
        using MemoryStream better = Signed(site, (name, text) => name == "evidence.json" ? text.Replace("\"credit\": 0", "\"credit\": 25", StringComparison.Ordinal) : text);
        EvidenceVerdict verdict = Assert.Single(EvidenceVerifier.Verify(EvidencePack.Open(better, _key), site.Time, default));
        Assert.Equal(["credit: the pack says 25, its samples give 0"], verdict.Differences);

        // A promise that was lowered afterwards shows in its rules.
        using MemoryStream lowered = Signed(site, (name, text) => name == "evidence.json" ? text.Replace("\"target\": 99.9,", "\"target\": 98,", StringComparison.Ordinal) : text);
        Assert.Contains(EvidenceVerifier.Verify(EvidencePack.Open(lowered, _key), site.Time, default)[0].Differences, d => d.StartsWith("rules:", StringComparison.Ordinal));

        using MemoryStream fewer = Signed(site, (name, text) => name == "series.txt" ? text[..text.LastIndexOf("\nseries ", StringComparison.Ordinal)] + "\n" : text);
        Assert.Contains(EvidenceVerifier.Verify(EvidencePack.Open(fewer, _key), site.Time, default)[0].Differences, d => d.StartsWith("value:", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("evidence.json", "evidence.json is not what was signed")]
    [InlineData("series.txt", "series.txt is not what was signed")]
    [InlineData("public.pem", "is no public key")]
    [InlineData("manifest.sha256", "the pack was altered")]
    [InlineData("manifest.sig", "the pack was altered")]
    public void A_file_that_was_altered_after_signing_is_refused(string file, string reason)
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site);
        using MemoryStream altered = Copy(pack, (name, content) => name == file ? [.. content[..20], (byte)(content[20] ^ 1), .. content[21..]] : content);
        Assert.Contains(reason, Assert.Throws<EvidenceException>(() => EvidencePack.Open(altered, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pack_of_another_signer_or_with_other_files_is_refused()
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site);
        using ECDsa other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        Assert.Contains("by another key", Assert.Throws<EvidenceException>(() => EvidencePack.Open(pack, other)).Message, StringComparison.Ordinal);
        Assert.False(EvidencePack.Open(pack, null).IsKnownKey);
        using MemoryStream without = Copy(pack, (name, content) => name == "manifest.sig" ? null : content);
        Assert.Contains("a signed pack holds", Assert.Throws<EvidenceException>(() => EvidencePack.Open(without, null)).Message, StringComparison.Ordinal);
        using MemoryStream unsigned = Made(site);
        Assert.Contains("a signed pack holds", Assert.Throws<EvidenceException>(() => EvidencePack.Open(unsigned, null)).Message, StringComparison.Ordinal);
        using var none = new MemoryStream(new byte[100]);
        Assert.Contains("it is no ZIP file", Assert.Throws<EvidenceException>(() => EvidencePack.Open(none, null)).Message, StringComparison.Ordinal);
        using var cut = new MemoryStream(pack.ToArray()[..(int)(pack.Length / 2)]);
        Assert.Throws<EvidenceException>(() => EvidencePack.Open(cut, null));
    }

    [Theory]
    [InlineData("series.txt", "bellwether series 1", "bellwether series 2", "series.txt:1: is not")]
    [InlineData("series.txt", "\nseries {", "\nserie {", "series.txt:2:")]
    [InlineData("series.txt", "\nseries {\"", "\nseries {\"a\":\"b\",\"a\":\"", "the labels cannot be read")]
    [InlineData("series.txt", "}\n1", "}\n=\n1", "is no sample")]
    [InlineData("evidence.json", "\"month\"", "\"monat\"", "cannot be read")]
    [InlineData("evidence.json", "bellwether evidence 1", "bellwether evidence 9", "this program reads")]
    [InlineData("evidence.json", "\"higher\"", "\"up\"", "neither higher nor lower")]
    [InlineData("evidence.json", "Europe/Zagreb", "Europe/Atlantis", "is not known on this machine")]
    [InlineData("evidence.json", "\"lookbackMs\": 300000", "\"lookbackMs\": -1", "the lookback is -1 ms")]
    public void A_hostile_pack_is_refused_with_its_reason_though_it_is_signed(string file, string from, string to, string reason)
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site, (name, text) =>
        {
            if (name != file)
                return text;
            Assert.Contains(from, text, StringComparison.Ordinal);
            return text.Replace(from, to, StringComparison.Ordinal);
        });
        EvidenceException refused = Assert.Throws<EvidenceException>(() => EvidenceVerifier.Verify(EvidencePack.Open(pack, _key), site.Time, default));
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_swells_when_it_is_unpacked_is_refused()
    {
        using KpiSite site = Site();
        using MemoryStream pack = Signed(site);
        using MemoryStream bomb = Copy(pack, (name, content) => name == "public.pem" ? new byte[EvidenceFormat.SmallBytesMax + 1] : content);
        Assert.Contains("public.pem is larger than", Assert.Throws<EvidenceException>(() => EvidencePack.Open(bomb, null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Samples_come_back_to_the_bit()
    {
        var random = new Random(5);
        var samples = new SampleBuffer();
        long time = -1_000_000, start = 0;
        double[] odd = [0, -0.0, double.NaN, SpecialValues.StaleMarker, double.PositiveInfinity, double.NegativeInfinity, double.Epsilon, double.MaxValue, 0.1 + 0.2, BitConverter.UInt64BitsToDouble(0xFFF8_0000_0000_0001)];
        for (int i = 0; i < 2000; i++)
        {
            time += random.Next(3) == 0 ? random.Next(1, 100_000) : 15_000;
            start = random.Next(50) == 0 ? time - random.Next(1000) : start;
            samples.Add(time, random.Next(3) switch { 0 => odd[random.Next(odd.Length)], 1 when i > 0 => samples.Values[i - 1], _ => random.NextDouble() * Math.Pow(10, random.Next(-20, 20)) }, start);
        }
        Labels labels = Labels.Of("__name__", "x", "odd label", "with \"quotes\"\nand \u00fc");
        using var text = new StringWriter();
        new EvidenceSeriesWriter(text).Add(labels, samples);
        EvidenceSeries read = EvidenceSeries.Read(new StringReader(text.ToString()));
        using ISeriesSet set = read.Select(long.MinValue, long.MaxValue, [], default);
        var again = new SampleBuffer();
        set.Read(0, again);
        Assert.Equal(labels, set.LabelsAt(0));
        Assert.Equal(samples.Times.ToArray(), again.Times.ToArray());
        Assert.Equal(samples.Values.ToArray().Select(BitConverter.DoubleToUInt64Bits), again.Values.ToArray().Select(BitConverter.DoubleToUInt64Bits));
        Assert.Equal(Enumerable.Range(0, 2000).Select(samples.StartTimeAt), Enumerable.Range(0, 2000).Select(again.StartTimeAt));
    }

    [Fact]
    public void Native_histograms_come_back_to_the_bit()
    {
        var samples = new SampleBuffer();
        NativeHistogram first = Histogram(12, 3.25), custom = new() { Schema = NativeHistogram.CustomBucketsSchema, CustomValues = [0.1, 0.5, 1], Count = 7, Sum = 0.1 + 0.2, PositiveSpans = [new(0, 2), new(1, 1)], PositiveBuckets = [1, 2, 4], IsInteger = true };
        NativeHistogram negative = new() { Schema = 3, Count = 4.5, Sum = double.PositiveInfinity, ZeroThreshold = 1e-128, ZeroCount = 0.5, NegativeSpans = [new(-7, 2)], NegativeBuckets = [1.5, 2.5], ResetHint = CounterResetHint.Gauge };
        samples.Add(1_000, first, 500);
        samples.Add(16_000, Histogram(12, 3.25), 500);
        samples.Add(31_000, custom, 500);
        samples.Add(46_000, 5.0, 500);
        samples.Add(61_000, negative, 60_000);
        samples.Add(76_000, new NativeHistogram { Sum = SpecialValues.StaleMarker });
        using var text = new StringWriter();
        new EvidenceSeriesWriter(text).Add(Labels.Of("__name__", "x"), samples);
        using ISeriesSet set = EvidenceSeries.Read(new StringReader(text.ToString())).Select(long.MinValue, long.MaxValue, [], default);
        var again = new SampleBuffer();
        set.Read(0, again);
        Assert.Equal(samples.Times.ToArray(), again.Times.ToArray());
        for (int i = 0; i < samples.Count; i++)
        {
            Assert.Equal(samples.StartTimeAt(i), again.StartTimeAt(i));
            Assert.Equal(samples.HistogramAt(i) is null, again.HistogramAt(i) is null);
            Assert.True(samples.HistogramAt(i) is not { } histogram || (histogram.SameAs(again.HistogramAt(i)!) && histogram.IsInteger == again.HistogramAt(i)!.IsInteger), text.ToString());
        }
        Assert.Equal(5.0, again.Values[3]);
    }

    [Theory]
    [InlineData("\"schema\":0", "\"schema\":9")]
    [InlineData("\"positiveSpans\":[0,2]", "\"positiveSpans\":[0,3]")]
    [InlineData("\"positiveSpans\":[0,2]", "\"positiveSpans\":[0,2,1]")]
    [InlineData("\"positiveSpans\":[0,2]", "\"positiveSpans\":[0,2147483647,1,2147483647]")]
    [InlineData("\"reset\":0", "\"reset\":7")]
    [InlineData("\"count\":12", "\"count\":\"many\"")]
    [InlineData("\"sum\":3.25,", "")]
    public void A_native_histogram_that_cannot_be_is_refused(string from, string to)
    {
        var samples = new SampleBuffer();
        samples.Add(1_000, Histogram(12, 3.25));
        using var text = new StringWriter();
        new EvidenceSeriesWriter(text).Add(Labels.Of("__name__", "x"), samples);
        Assert.Contains(from, text.ToString(), StringComparison.Ordinal);
        EvidenceException refused = Assert.Throws<EvidenceException>(() => EvidenceSeries.Read(new StringReader(text.ToString().Replace(from, to, StringComparison.Ordinal))));
        Assert.Contains("series.txt:3:", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_promise_on_a_native_histogram_has_its_evidence()
    {
        using var site = new KpiSite("""
            sla_definitions:
              fast: {target: 90, evaluation_window: "1h"}
            sla_inputs:
              fast:
                good: histogram_fraction(0, 1, sum(increase(latency_seconds[$window]))) * histogram_count(sum(increase(latency_seconds[$window])))
                total: histogram_count(sum(increase(latency_seconds[$window])))
            sla_contracts:
              - {name: acme, customer: Acme, sla: fast, time_zone: Europe/Zagreb, credits: [{below: 90, credit: 10}]}
            """);
        site.Time.Advance(DateTimeOffset.Parse("2027-02-03T00:00:00Z", null) - site.Time.GetUtcNow());
        for (int k = 0; k <= 1000; k++)
            await site.Store.AppendAsync(new SampleBatch { Samples = { new SeriesSample(Labels.Of("__name__", "latency_seconds"), KpiSite.StartMs + (k * 600_000L), 0, Histogram(12 * k, 3.25 * k)) } }, default);
        site.Rules.Apply(site.Set.Groups);
        site.Book.Apply(site.Set, _ => KpiSite.StartMs);
        using MemoryStream pack = Signed(site);
        EvidenceVerdict verdict = Assert.Single(EvidenceVerifier.Verify(EvidencePack.Open(pack, _key), site.Time, default));
        Assert.Empty(verdict.Differences);
        Assert.InRange(verdict.Recomputed.Value!.Value, 40, 60);
        Assert.Equal(10, verdict.Recomputed.Credit);
    }

    /// <summary>Half between 0.5 and 1, half between 1 and 2.</summary>
    private static NativeHistogram Histogram(double count, double sum) => new() { Schema = 0, ZeroThreshold = 0.001, Count = count, Sum = sum, PositiveSpans = [new(0, 2)], PositiveBuckets = [count / 2, count / 2], IsInteger = true };

    [Fact]
    public void A_month_that_has_not_begun_has_no_evidence_and_one_under_way_says_so()
    {
        using KpiSite site = Site();
        Assert.Contains("the month has not begun", Assert.Throws<EvidenceException>(() => Made(site, "2027-06")).Message, StringComparison.Ordinal);
        using KpiSite early = Site(DateTimeOffset.Parse("2027-01-25T00:00:00Z", null));
        using MemoryStream pack = Signed(early);
        EvidenceVerdict verdict = Assert.Single(EvidenceVerifier.Verify(EvidencePack.Open(pack, _key), early.Time, default));
        Assert.Empty(verdict.Differences);
        Assert.False(verdict.Recomputed.IsOver);
    }

    [Fact]
    public void Data_that_comes_while_a_pack_is_made_is_in_numbers_and_samples_or_in_neither()
    {
        bool cameLate = true;
        for (int select = 1; cameLate; select++)
        {
            using KpiSite site = Site();
            var late = new LateStore(site.Store, select, () =>
            {
                site.Store.Add(Labels.Of("__name__", "http_requests_total", "code", "503"), DateTimeOffset.Parse("2027-01-15T00:00:00Z", null).ToUnixTimeMilliseconds(), 1);
                site.Store.Add(Labels.Of("__name__", "http_requests_total", "code", "503"), DateTimeOffset.Parse("2027-01-15T00:05:00Z", null).ToUnixTimeMilliseconds(), 1_000_000);
            });
            using MemoryStream made = Made(site, reader: late);
            using var pack = new MemoryStream();
            EvidencePack.Sign(made, pack, _key, site.Time.NowMs);
            pack.Position = 0;
            EvidenceVerdict verdict = Assert.Single(EvidenceVerifier.Verify(EvidencePack.Open(pack, _key), site.Time, default));
            Assert.True(verdict.Differences.Count == 0, $"data that came at selection {select}: {string.Join("; ", verdict.Differences)}");
            cameLate = late.CameLate;
            Assert.True(select > 5 || cameLate);
        }
    }

    /// <summary>A store into which data comes just before a selection.</summary>
    private sealed class LateStore(ISeriesReader store, int select, Action late) : ISeriesReader
    {
        private int _selections;

        public bool CameLate => _selections >= select;

        public ISeriesSet Select(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation)
        {
            if (++_selections == select)
                late();
            return store.Select(fromMs, toMs, matchers, cancellation);
        }

        public IReadOnlyList<string> LabelNames(long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => store.LabelNames(fromMs, toMs, matchers, cancellation);

        public IReadOnlyList<string> LabelValues(string name, long fromMs, long toMs, IReadOnlyList<LabelMatcher> matchers, CancellationToken cancellation) => store.LabelValues(name, fromMs, toMs, matchers, cancellation);

        public MetricMetadata? Metadata(string family) => store.Metadata(family);

        public IReadOnlyDictionary<string, MetricMetadata> AllMetadata() => store.AllMetadata();
    }

    private static KpiSite Site(DateTimeOffset? now = null)
    {
        KpiSite site = SlaTests.Month();
        site.Time.Advance((now ?? DateTimeOffset.Parse("2027-02-02T00:00:00Z", null)) - site.Time.GetUtcNow());
        return site;
    }

    private static MemoryStream Made(KpiSite site, string month = "2027-01", ISeriesReader? reader = null)
    {
        var pack = new MemoryStream();
        var sources = new EvidenceSources(site.Engine, reader ?? site.Store, new Known(), site.Book, site.Engine.Lookback);
        EvidenceMaker.Make(pack, sources, site.Set.Slas.Contracts, month, (site.Time.NowMs, "test"), default);
        pack.Position = 0;
        return pack;
    }

    /// <summary>A pack whose signer changed a text before it was signed.</summary>
    private MemoryStream Signed(KpiSite site, Func<string, string, string>? change = null)
    {
        using MemoryStream made = Made(site);
        using MemoryStream changed = change is null ? Copy(made, (_, content) => content) : Copy(made, (name, content) => Encoding.UTF8.GetBytes(change(name, Encoding.UTF8.GetString(content))));
        var pack = new MemoryStream();
        EvidencePack.Sign(changed, pack, _key, site.Time.NowMs);
        pack.Position = 0;
        return pack;
    }

    private static MemoryStream Copy(MemoryStream pack, Func<string, byte[], byte[]?> change)
    {
        var copy = new MemoryStream();
        pack.Position = 0;
        using (var from = new ZipArchive(pack, ZipArchiveMode.Read, leaveOpen: true))
        using (var to = new ZipArchive(copy, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (ZipArchiveEntry entry in from.Entries)
            {
                if (change(entry.FullName, Bytes(from, entry.FullName)) is not { } content)
                    continue;
                using Stream into = to.CreateEntry(entry.FullName).Open();
                into.Write(content);
            }
        }
        copy.Position = 0;
        return copy;
    }

    private static byte[] Bytes(ZipArchive zip, string name)
    {
        using Stream content = zip.GetEntry(name)!.Open();
        using var copy = new MemoryStream();
        content.CopyTo(copy);
        return copy.ToArray();
    }

    private sealed class Known : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => new(40, 50, series.Count);
    }
}
