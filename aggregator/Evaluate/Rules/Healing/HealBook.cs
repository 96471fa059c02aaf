using System.Text.Json;
using System.Text.Json.Serialization;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Microsoft.Extensions.Logging;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>One entry of the record of what was evaluated again, or allowed to be. Immutable.</summary>
public sealed record HealEntry
{
    /// <summary>Counts up from 1.</summary>
    public ulong Id { get; init; }

    /// <summary>When it was done, Unix ms.</summary>
    public long AtMs { get; init; }

    /// <summary><c>late</c>, <c>backfill</c> or <c>reopen</c>.</summary>
    public string Kind { get; init; } = "";

    /// <summary>Why, in words.</summary>
    public string Reason { get; init; } = "";

    /// <summary>Who asked; empty: data came.</summary>
    public string By { get; init; } = "";

    /// <summary>Whether this is only the note, made before, that it was asked for.</summary>
    public bool IsAsked { get; init; }

    /// <summary>The first late sample or result that was asked for, Unix ms.</summary>
    public long FromMs { get; init; }

    /// <summary>The last one.</summary>
    public long ToMs { get; init; }

    /// <summary>Rules that were evaluated again.</summary>
    public int Rules { get; init; }

    /// <summary>Their steps.</summary>
    public long Steps { get; init; }

    /// <summary>Steps that failed.</summary>
    public long Failures { get; init; }

    /// <summary>How long it took, ms.</summary>
    public long TookMs { get; init; }

    /// <summary>The rules whose results changed; at most <see cref="HealBook.ChangesMax"/>.</summary>
    public IReadOnlyList<RuleChange> Changed { get; init; } = [];
}

/// <summary>
/// What was evaluated again and why, on disk (docs/formats/heals.md): the reason behind every corrected result, and the audit entry of every sealed period that was opened again.
/// Old entries go when there are too many. Thread-safe.
/// </summary>
public sealed partial class HealBook : IDisposable
{
    /// <summary>Entries kept in memory and told.</summary>
    public const int EntriesMax = 10_000;

    /// <summary>Rules named in one entry.</summary>
    public const int ChangesMax = 1_000;

    private const ushort EntryKind = 1;
    private const int FilesMax = 16;
    private readonly Lock _gate = new();
    private readonly SegmentLog _log;
    private readonly ILogger _logger;
    private readonly List<HealEntry> _entries = [];
    private readonly List<HealEntry> _unwritten = [];
    private ulong _next = 1;

    /// <summary>Opens the record. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public HealBook(IDisk disk, string folder, TimeProvider time, Random random, ILogger logger)
    {
        _logger = logger;
        var options = new SegmentLogOptions { FileBytes = 4 << 20, PayloadBytesMax = 4 << 20, PendingBytesMax = 16 << 20, BytesMax = 256L << 20, SpareFiles = 1 };
        _log = SegmentLog.Open(disk, folder, options, time, random, Replay);
    }

    /// <summary>Notes an entry. False: the disk does not take it now; it is told, and written with the next one.</summary>
    public bool Note(HealEntry entry)
    {
        lock (_gate)
        {
            entry = entry with { Id = _next++, Changed = [.. entry.Changed.OrderByDescending(c => c.Replaced + c.Removed + c.Added).Take(ChangesMax)] };
            Add(entry);
            _unwritten.Add(entry);
            bool appended = _unwritten.All(e => _log.Append(EntryKind, JsonSerializer.SerializeToUtf8Bytes(e, HealEntryJson.Default.HealEntry), out _) == LogAppend.Appended);
            if (!appended || _log.Sync() != LogSync.Durable)
            {
                _log.DiscardPending();
                if (_unwritten.Count > ChangesMax)
                    _unwritten.RemoveAt(0);
                NotWritten(_logger, _unwritten.Count);
                return false;
            }
            _unwritten.Clear();
            IReadOnlyList<LogFileInfo> files = _log.Files;
            if (files.Count > FilesMax)
                _log.FreeFiles([.. files.Take(files.Count - FilesMax).Select(f => f.Number)]);
            return true;
        }
    }

    /// <summary>Entries, the newest first.</summary>
    public IReadOnlyList<HealEntry> Newest()
    {
        lock (_gate)
            return [.. Enumerable.Reverse(_entries)];
    }

    /// <summary>The entries that changed a metric's results at a time, the oldest first.</summary>
    /// <param name="metric">The metric.</param>
    /// <param name="labels">The series' labels: entries of rules that add other ones are left out.</param>
    /// <param name="timeMs">The result's time, Unix ms.</param>
    public IReadOnlyList<ulong> Of(string metric, Core.Model.Labels labels, long timeMs)
    {
        lock (_gate)
        {
            return [.. _entries.Where(e => e.Changed.Any(c => c.Record == metric && c.FromMs <= timeMs && c.ToMs >= timeMs && c.Labels.All(l => labels.Get(l.Key) == l.Value))).Select(e => e.Id)];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _log.Dispose();

    private void Add(HealEntry entry)
    {
        _entries.Add(entry);
        if (_entries.Count > EntriesMax)
            _entries.RemoveRange(0, EntriesMax / 10);
    }

    private void Replay(ushort kind, ulong sequence, ulong file, ReadOnlySpan<byte> payload)
    {
        try
        {
            if (kind != EntryKind || JsonSerializer.Deserialize(payload, HealEntryJson.Default.HealEntry) is not { } entry)
                return;
            Add(entry);
            _next = Math.Max(_next, entry.Id + 1);
        }
        catch (JsonException e)
        {
            Unreadable(_logger, e.Message);
        }
    }

    [LoggerMessage(EventId = 3255, Level = LogLevel.Warning, Message = "{Count} entries of the record of re-evaluations cannot be written now; they are written with the next one")]
    private static partial void NotWritten(ILogger logger, int count);

    [LoggerMessage(EventId = 3256, Level = LogLevel.Error, Message = "an entry of the record of re-evaluations cannot be read: {Reason}")]
    private static partial void Unreadable(ILogger logger, string reason);
}

/// <summary>The JSON of entries in their journal.</summary>
[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(HealEntry))]
internal sealed partial class HealEntryJson : JsonSerializerContext;
