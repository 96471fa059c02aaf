using System.Diagnostics.Metrics;
using Bellwether.Core.Platform;
using Bellwether.Store;
using Microsoft.Extensions.Logging;

namespace Bellwether.Ingest.Completeness;

/// <summary>
/// Lets time pass for the book and keeps it in its journal: 1 opening reads what was known and notes how long the aggregator was down; 2 each step lets the book judge, then writes what
/// has changed; 3 what the disk does not take is given again. <see cref="Step"/> is synchronous and by one thread; <see cref="RunAsync"/> is its async edge.
/// </summary>
public sealed partial class CompletenessKeeper : IDisposable
{
    private static readonly TimeSpan s_stepInterval = TimeSpan.FromSeconds(1);
    private readonly CompletenessOptions _options;
    private readonly FleetJournal _journal;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly bool _serves;
    private long _writtenMs;
    private long _aliveMs;
    private bool _isFailing;

    /// <summary>
    /// Opens the journal in a folder of its own. Throws <see cref="IOException"/> when the folder cannot be had. Not <paramref name="serves"/>: this is no aggregator that runs, only
    /// something that carries records in while it is stopped, and the time that it is down goes on.
    /// </summary>
    public CompletenessKeeper(CompletenessOptions options, ILedgerSource ledger, IDisk disk, string folder, TimeProvider time, Random random, Meter meter, ILogger log, bool serves = true)
    {
        _serves = serves;
        _options = options;
        _time = time;
        _log = log;
        _journal = new FleetJournal(disk, folder, options, time, random);
        Book = new FleetBook(options, ledger, log, _journal.Agents.Values, _journal.Strangers);
        long now = NowMs;
        if (serves && _journal.AliveMs > 0)
            Book.WasDown(_journal.AliveMs, now);
        FleetInstruments.Make(Book, ledger, meter, time);
    }

    /// <summary>What is known.</summary>
    public FleetBook Book { get; }

    private long NowMs => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>One step: judge, then write what is due.</summary>
    public void Step()
    {
        long now = NowMs;
        Book.Step(now);
        if (Book.IsUrgent || now - _writtenMs >= (long)_options.WriteInterval.TotalMilliseconds || now < _writtenMs)
            Write(now);
        else if (now - _aliveMs >= (long)_options.AliveInterval.TotalMilliseconds)
            WriteAlive(now);
    }

    /// <summary>Steps until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(s_stepInterval, _time);
        while (!cancellation.IsCancellationRequested)
        {
            Step();
            try
            {
                await timer.WaitForNextTickAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>Writes what is known and closes the journal.</summary>
    public void Dispose()
    {
        Write(NowMs);
        _journal.Dispose();
    }

    private void Write(long nowMs)
    {
        (IReadOnlyList<AgentFacts> agents, IReadOnlyList<FleetEvent> strangers, _) = Book.TakeChanges();
        bool written = _journal.Write(agents, strangers, _serves ? nowMs : _journal.AliveMs, () => (Book.Known(), Book.Strangers()));
        _writtenMs = _aliveMs = nowMs;
        if (!written)
            Book.PutBack(agents);
        Note(written);
    }

    private void WriteAlive(long nowMs)
    {
        _aliveMs = nowMs;
        Note(_journal.Write([], [], nowMs, () => (Book.Known(), Book.Strangers())));
    }

    private void Note(bool written)
    {
        if (written == _isFailing)
        {
            _isFailing = !written;
            if (written)
                JournalWorks(_log);
            else
                JournalFails(_log);
        }
    }

    [LoggerMessage(2122, LogLevel.Warning, "the journal of completeness cannot be written: facts are kept in memory and tried again")]
    private static partial void JournalFails(ILogger log);

    [LoggerMessage(2123, LogLevel.Information, "the journal of completeness is written again, with what was kept in memory")]
    private static partial void JournalWorks(ILogger log);
}
