using System.Diagnostics.Metrics;
using System.Globalization;
using Bellwether.Aggregator.Configuration;
using Bellwether.Aggregator.Run;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Ingest;
using Bellwether.Ingest.Bundles;
using Bellwether.Serve.RemoteWrite;
using Bellwether.Store;
using Bellwether.Store.Exchange;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.StoreTools;

/// <summary><c>store import</c>: OpenMetrics files and blocks of Prometheus, into a stopped store or a running aggregator.</summary>
internal sealed class ImportCommand(TextWriter output, TextWriter errors, bool again, CancellationToken cancellation)
{
    // History in memory is written to chunk files at each step of so many samples.
    private const long SamplesPerMaintenance = 2_000_000;
    private readonly OsDisk _disk = new();
    private readonly ProgressLine _progress = new(errors);
    private ImportLedger? _ledger;
    private bool _isRemote;

    /// <summary>Into the store of a configuration, which no process holds.</summary>
    public async Task<int> IntoStoreAsync(AggregatorConfig config, IReadOnlyList<string> paths)
    {
        using var meter = new Meter("bellwether-aggregator-import");
        StoreOptions options = ConfiguredOptions.Store(config);
        StoreWriter store;
        try
        {
            store = StoreWriter.Open(options, _disk, TimeProvider.System, ProcessRandom.Create(), meter, NullLogger.Instance);
        }
        catch (IOException e) when (e.Message.Contains("in use by another process", StringComparison.Ordinal))
        {
            errors.WriteLine($"{e.Message}: import into the running aggregator with --url, e.g. --url http://127.0.0.1:9090, or stop it first");
            return 1;
        }
        await using (store)
        {
            var late = new LateRanges(new LateRangesOptions(), _disk, options.Folder, TimeProvider.System, meter);
            var appender = new LateAppender(store, late);
            _ledger = new ImportLedger(_disk, options.Folder);
            long sinceMaintenance = 0;
            int code = await ImportAllAsync(paths, async (batch, token) =>
            {
                AppendResult result = await appender.AppendAsync(batch, token);
                if ((sinceMaintenance += batch.Samples.Count) >= SamplesPerMaintenance)
                {
                    sinceMaintenance = 0;
                    await store.MaintainAsync(token);
                    late.Save();
                }
                return result;
            });
            late.Save();
            return code;
        }
    }

    /// <summary>Into a running aggregator, by remote write.</summary>
    public async Task<int> IntoRunningAsync(Uri address, IReadOnlyList<string> paths)
    {
        // Its answers do not tell what was there already.
        _isRemote = true;
        using var appender = new RemoteAppender(address, new SocketsHttpHandler(), TimeProvider.System, Waits);
        return await ImportAllAsync(paths, (batch, token) => appender.AppendAsync(batch, token).AsTask());
    }

    private async Task<int> ImportAllAsync(IReadOnlyList<string> paths, Func<SampleBatch, CancellationToken, Task<AppendResult>> append)
    {
        bool good = true;
        foreach (string path in paths)
        {
            if (File.Exists(path))
            {
                good &= await TryImportAsync(path, positionOf => OpenMetricsImportSource.Open(_disk, path, new DateTimeOffset(File.GetLastWriteTimeUtc(path)).ToUnixTimeMilliseconds(), positionOf), append);
                continue;
            }
            if (!Directory.Exists(path))
            {
                errors.WriteLine($"{path}: there is no such file or folder; a file of OpenMetrics text, a block of Prometheus or its data folder is imported");
                good = false;
                continue;
            }
            IReadOnlyList<string> blocks = TsdbImportSource.FindBlocks(_disk, path);
            if (TsdbImportSource.HasLog(_disk, path))
                errors.WriteLine($"{path}: the newest samples stand in Prometheus' log (wal/) and not in blocks: they are not read. A snapshot has them as a block: POST /api/v1/admin/tsdb/snapshot (--web.enable-admin-api)");
            if (blocks.Count == 0)
            {
                errors.WriteLine($"{path}: it holds no block (a folder with meta.json and index)");
                good = false;
            }
            foreach (string block in blocks)
                good &= await TryImportAsync(block, positionOf => TsdbImportSource.Open(_disk, block, positionOf), append);
        }
        return good ? 0 : 1;
    }

    private async Task<bool> TryImportAsync(string path, Func<Func<string, string?>, IImportSource> open, Func<SampleBatch, CancellationToken, Task<AppendResult>> append)
    {
        var result = new ImportResult();
        bool good = true;
        try
        {
            string? from = null;
            using IImportSource source = open(key => from = again ? null : _ledger?.PositionOf(key) is { } known && known != ImportLedger.Done ? known : null);
            if (!again && _ledger?.PositionOf(source.Key) == ImportLedger.Done)
            {
                output.WriteLine($"{path}: was imported into this store already; --again imports it once more");
                return true;
            }
            output.WriteLine($"{(from is null ? "importing" : "going on with")} {source.Name}");
            try
            {
                await StoreImport.RunAsync(source, append, _ledger, result, _progress.Show, cancellation);
            }
            finally
            {
                _progress.End();
                Tell(path, result);
                foreach (string problem in source.Problems)
                    errors.WriteLine($"left out: {problem}");
                if (source.ProblemCount > 0)
                    errors.WriteLine($"{path}: {source.ProblemCount} {(source.ProblemCount == 1 ? "part" : "parts")} could not be read");
                good = source.ProblemCount == 0;
            }
        }
        catch (Exception e) when (e is InvalidDataException or IOException)
        {
            errors.WriteLine(e.Message);
            return false;
        }
        return good && result.Refused == 0 && result.TooOld == 0;
    }

    private void Waits(string why)
    {
        _progress.End();
        errors.WriteLine(why);
    }

    private void Tell(string path, ImportResult result)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}: {result.Samples} samples read, {result.Stored} {(_isRemote ? "taken, those that were there already among them" : $"stored, {result.Duplicates} were there already, {result.Conflicts} had another value there")} (of two values of one time the larger stands)"));
        if (result.TooOld > 0)
            errors.WriteLine($"{path}: {result.TooOld} samples are older than the store keeps (retention.raw) and were left out");
        if (result.Refused > 0)
            errors.WriteLine($"{path}: {result.Refused} samples were refused; the first: {result.FirstError}");
    }
}
