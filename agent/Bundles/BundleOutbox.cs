using System.Buffers;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Bundles;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Bellwether.Core.Telemetry;
using Microsoft.Extensions.Logging;

namespace Bellwether.Agent.Bundles;

/// <summary>
/// The one-way mode: regularly everything that is held goes into a bundle in a folder, from where something else carries it on. What lies there durably has left the spool. Nothing
/// comes back, so each bundle also announces the segments of those before it: what never arrives shows as a gap. One loop.
/// </summary>
internal sealed partial class BundleOutbox
{
    private const string JournalFile = "outbox";
    private const int JournalBytesMax = 8 << 20;
    /// <summary>Segments of earlier bundles that every bundle announces.</summary>
    private const int AnnouncedMax = 256;
    /// <summary>Segments of earlier bundles that are remembered; each twelfth bundle announces all of them.</summary>
    private const int RememberedMax = 10_000;
    private const int FullEvery = 12;

    private readonly OutboxSection _outbox;
    private readonly Func<AgentConfig> _config;
    private readonly ISpool _spool;
    private readonly IDisk _disk;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly BundleExport _export;
    private readonly Counter<long> _made;
    private readonly Counter<long> _bytes;
    private readonly Counter<long> _failures;
    private readonly List<BundleSegment> _remembered;
    private long _count;

    public BundleOutbox(OutboxSection outbox, Func<AgentConfig> config, ISpool spool, IDisk disk, TimeProvider time, Random random, Meter meter, ILogger log)
    {
        _outbox = outbox;
        _config = config;
        _spool = spool;
        _disk = disk;
        _time = time;
        _log = log;
        _export = new BundleExport(spool, disk, time, random);
        _made = meter.CreateCounter<long>(MetricNames.OutboxBundles, description: "Bundles put into the outbox.");
        _bytes = meter.CreateCounter<long>(MetricNames.OutboxBytes, description: "Bytes of bundles put into the outbox.");
        _failures = meter.CreateCounter<long>(MetricNames.OutboxFailures, description: "Bundles that could not be put into the outbox.");
        _remembered = Remembered();
    }

    /// <summary>Makes bundles until cancelled, and a last one then.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(_outbox.Interval, _time, cancellation);
            }
            catch (OperationCanceledException)
            {
                // The last bundle is made below.
            }
            Step();
        }
    }

    /// <summary>Makes one bundle of what is held, if anything is. What goes wrong is told and counted; the records stay in the spool.</summary>
    public void Step()
    {
        try
        {
            _disk.CreateFolder(_outbox.Folder);
            long lying = new DirectoryInfo(_outbox.Folder).EnumerateFiles().Sum(f => f.Length);
            if (lying >= _outbox.MaxSize.Bytes)
            {
                Full(_log, _outbox.Folder, lying);
                _failures.Add(1);
                return;
            }
            if (_spool.Records > 0)
                Make();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            Failed(_log, _outbox.Folder, e.Message);
            _failures.Add(1);
        }
    }

    private void Make()
    {
        AgentConfig config = _config();
        using BundleIdentity identity = BundleKeyFiles.Identity(config, Run.AgentRuntime.VersionText);
        string name = string.Create(CultureInfo.InvariantCulture, $"{FileName(config.Agent.Id)}-{_time.GetUtcNow():yyyyMMdd'T'HHmmss'Z'}-{_count}.bwb");
        bool full = _count++ % FullEvery == 0;
        IReadOnlyList<BundleSegment> announced = full ? _remembered : [.. _remembered.TakeLast(AnnouncedMax)];
        BundleExported exported = _export.Run(new BundleRequest(Path.Combine(_outbox.Folder, name), long.MinValue, long.MaxValue, _outbox.SplitSize.Bytes), identity, announced);
        // First what was handed over is remembered, then it is freed: a crash between leaves it in the spool, and it is carried twice, which costs nothing.
        _remembered.AddRange(exported.Manifest.Segments);
        if (_remembered.Count > RememberedMax)
            _remembered.RemoveRange(0, _remembered.Count - RememberedMax);
        Remember();
        foreach (BundleSegment segment in exported.Manifest.Segments)
            _spool.Acknowledge(new SegmentRef(segment.Id.Epoch, segment.Id.Number, segment.Id.Nonce), segment.Records, complete: true);
        _made.Add(1);
        _bytes.Add(exported.Bytes);
        Made(_log, exported.Files[0], exported.Manifest.Segments.Count, exported.Bytes);
    }

    private static string FileName(string agent) => string.Concat(agent.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '_'));

    private string JournalPath => Path.Combine(_config().Spool.Path, JournalFile);

    private void Remember()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            BundleText.WriteSegments(json, "segments", _remembered);
            json.WriteEndObject();
        }
        AtomicFile.Write(_disk, JournalPath, buffer.WrittenSpan);
    }

    private List<BundleSegment> Remembered()
    {
        try
        {
            if (AtomicFile.TryRead(_disk, JournalPath, JournalBytesMax, out byte[] content) != AtomicFileOutcome.Read)
                return [];
            using JsonDocument document = JsonDocument.Parse(content);
            return BundleText.ReadSegments(document.RootElement, "segments") ?? [];
        }
        catch (Exception e) when (e is IOException or JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            // It is only what later bundles announce: they go on without.
            JournalLost(_log, JournalPath, e.Message);
            return [];
        }
    }

    [LoggerMessage(EventId = 3301, Level = LogLevel.Information, Message = "bundle {File}: {Segments} segments, {Bytes} bytes")]
    private static partial void Made(ILogger log, string file, int segments, long bytes);

    [LoggerMessage(EventId = 3302, Level = LogLevel.Warning, Message = "the outbox {Folder} holds {Bytes} bytes that nothing has carried on: no bundle is made, the spool keeps the records")]
    private static partial void Full(ILogger log, string folder, long bytes);

    [LoggerMessage(EventId = 3303, Level = LogLevel.Error, Message = "no bundle could be put into {Folder}: {Reason}")]
    private static partial void Failed(ILogger log, string folder, string reason);

    [LoggerMessage(EventId = 3304, Level = LogLevel.Warning, Message = "{File} cannot be read ({Reason}): earlier bundles are not announced again")]
    private static partial void JournalLost(ILogger log, string file, string reason);
}
