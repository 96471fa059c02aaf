using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>What a pack is made from.</summary>
/// <param name="Engine">Evaluates.</param>
/// <param name="Reader">The data.</param>
/// <param name="Coverage">How complete it is.</param>
/// <param name="Book">The definitions and their versions.</param>
/// <param name="Lookback">The engine's lookback.</param>
public sealed record EvidenceSources(PromQlEngine Engine, ISeriesReader Reader, ICoverageSource Coverage, KpiBook Book, TimeSpan Lookback);

/// <summary>Makes the pack of a month, not yet signed: the contracts with their numbers, and all samples that the numbers were made of. Thread-safe.</summary>
public static class EvidenceMaker
{
    /// <summary>How often a pack is begun anew when data of its month came while it was made.</summary>
    private const int AttemptsMax = 10;

    /// <summary>
    /// Writes the pack as a ZIP. Numbers and samples are read one after the other: when the numbers are not the same before and after the samples, data came in between, and the pack is begun anew.
    /// Throws <see cref="EvidenceException"/> when it cannot be made.
    /// </summary>
    /// <param name="into">Where to, from its position on; it can seek.</param>
    /// <param name="sources">What it is made from.</param>
    /// <param name="contracts">The contracts, of the book's set.</param>
    /// <param name="month">E.g. <c>2026-10</c>.</param>
    /// <param name="made">When, and by which program.</param>
    /// <param name="cancellation">Ends it early.</param>
    public static void Make(Stream into, EvidenceSources sources, IReadOnlyList<SlaContract> contracts, string month, (long Ms, string Program) made, CancellationToken cancellation)
    {
        if (contracts.Count is 0 or > EvidenceFormat.ContractsMax)
            throw new EvidenceException(contracts.Count == 0 ? "there is no contract; write sla_contracts in a KPI file (docs/slas.md)" : $"there are {contracts.Count} contracts; at most {EvidenceFormat.ContractsMax} go into a pack");
        long start = into.Position;
        for (int attempt = 1; !TryMake(into, sources, contracts, month, made, cancellation); attempt++)
        {
            if (attempt == AttemptsMax)
                throw new EvidenceException($"data of the month came in while the pack was made, {AttemptsMax} times; ask again later");
            into.Position = start;
            into.SetLength(start);
        }
    }

    /// <summary>False: the numbers changed meanwhile.</summary>
    private static bool TryMake(Stream into, EvidenceSources sources, IReadOnlyList<SlaContract> contracts, string month, (long Ms, string Program) made, CancellationToken cancellation)
    {
        SlaSet set = sources.Book.Slas;
        var all = new EvidenceRecording(sources.Reader);
        var told = new List<EvidenceContract>();
        foreach (SlaContract contract in contracts)
        {
            var asked = new EvidenceRecording(sources.Reader);
            told.Add(Contract(sources, asked, set, contract, month, made.Ms, cancellation));
            all.Join(asked);
        }
        using var zip = new ZipArchive(into, ZipArchiveMode.Create, leaveOpen: true);
        long series, samples;
        using (Stream entry = EvidencePack.Entry(zip, EvidenceFormat.SeriesName, made.Ms))
        using (var text = new StreamWriter(entry, new UTF8Encoding(false)))
        {
            var writer = new EvidenceSeriesWriter(text);
            all.Write(writer, cancellation);
            (series, samples) = (writer.Series, writer.Samples);
        }
        foreach ((SlaContract contract, EvidenceContract first) in contracts.Zip(told))
        {
            if (!EvidenceVerifier.AreSame(first.Numbers, EvidenceText.Of(Month(sources, sources.Reader, set, contract, month, made.Ms, cancellation))))
                return false;
        }
        var document = new EvidenceDocument
        {
            Format = EvidenceFormat.Format,
            Month = month,
            MadeMs = made.Ms,
            MadeBy = made.Program,
            LookbackMs = (long)sources.Lookback.TotalMilliseconds,
            Series = series,
            Samples = samples,
            Contracts = told,
        };
        using Stream json = EvidencePack.Entry(zip, EvidenceFormat.DocumentName, made.Ms);
        JsonSerializer.Serialize(json, document, EvidenceJson.Default.EvidenceDocument);
        return true;
    }

    private static SlaMonth Month(EvidenceSources sources, ISeriesReader reader, SlaSet set, SlaContract contract, string monthText, long nowMs, CancellationToken cancellation)
    {
        (long from, long to) = SlaReport.MonthOf(monthText, contract.TimeZone) ?? throw new EvidenceException($"'{monthText}' is no month; write for example 2026-10");
        SlaMonth month = new SlaReport(sources.Engine, reader, set).Month(contract, from, to, nowMs, cancellation);
        return month.Error.Length > 0 ? throw new EvidenceException($"{contract.Name}: {month.Error}") : month;
    }

    private static EvidenceContract Contract(EvidenceSources sources, EvidenceRecording asked, SlaSet set, SlaContract contract, string monthText, long nowMs, CancellationToken cancellation)
    {
        SlaMonth month = Month(sources, asked, set, contract, monthText, nowMs, cancellation);
        Coverage coverage = sources.Coverage.Of(asked.Labels(cancellation), month.FromMs, month.ToMs, cancellation);
        IReadOnlyList<KpiVersion> versions = sources.Book.Versions(KpiVersion.NameOf(month.Check));
        return new EvidenceContract
        {
            Name = contract.Name,
            Customer = contract.Customer,
            TimeZone = contract.TimeZone.Id,
            Credits = contract.Credits,
            Promise = EvidenceText.Of(month.Check),
            Maintenance = [.. set.Maintenances.Where(m => m.Covers(contract.Sla, contract.Tier)).Select(EvidenceText.Of)],
            Numbers = EvidenceText.Of(month),
            Rules = EvidenceText.Rules(month.Check),
            Versions = [.. versions.Where((v, i) => v.FromMs < month.ToMs && (i + 1 == versions.Count || versions[i + 1].FromMs > month.FromMs))],
            CoverageReceived = coverage.Received,
            CoverageDue = coverage.Due,
            CoverageSources = coverage.Sources,
        };
    }
}
