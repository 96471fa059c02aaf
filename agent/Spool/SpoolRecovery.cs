namespace Bellwether.Agent.Spool;

/// <summary>Opening: what the log holds, what the state remembers, and what of it is missing.</summary>
/// <param name="books">What is brought together: the log has been read, the state too.</param>
/// <param name="clock">The clock.</param>
internal sealed class SpoolRecovery(SpoolBooks books, TimeProvider clock)
{
    /// <summary>Brings the replayed segments and the remembered state together, and says which epoch it is. Returns how the run before ended.</summary>
    /// <param name="replay">What the log's frames say.</param>
    /// <param name="isNew">There was no state.</param>
    public PreviousEnd Run(SpoolReplay replay, bool isNew)
    {
        SpoolState state = books.State;
        bool lost = books.Log.Report.Lost.Any(l => l.NextSequence > l.FirstSequence);
        bool recreated = books.Log.Report.IsNew && state.NextNumber > 1;
        // Without a state the old epoch may be unknown: seconds since 1970 lie above every epoch that grew by losses.
        if (isNew)
            state.Epoch = Math.Max(replay.EpochMax + 1, (ulong)Math.Max(1, clock.GetUtcNow().ToUnixTimeSeconds()));
        else if (lost || recreated)
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax) + 1;
        else
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax);
        state.NextNumber = Math.Max(state.NextNumber, replay.NumberMax + 1);
        long newestMs = books.Segments.Count == 0 ? 0 : books.Segments.Max(s => s.NewestMs);
        var previous = new PreviousEnd(!isNew && state.NextNumber > 1, state.StoppedMs > 0, state.StoppedMs > 0 ? state.StoppedMs : Math.Max(0, newestMs));
        state.StoppedMs = 0;
        RecoverLedger(replay, state);
        return previous;
    }

    /// <summary>Brings the ledger of the log and that of the state together: each number is the larger of the two, since both only grow. What then is missing is counted.</summary>
    private void RecoverLedger(SpoolReplay replay, SpoolState state)
    {
        var unseen = new List<(int Account, long Samples)>();
        if (state.Ledger is { } written)
        {
            books.Ledger.Take(written, (account, spooled) =>
            {
                if (spooled > account.Spooled)
                    unseen.Add((books.Ledger.IndexOf(account.Name), spooled - account.Spooled));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
        }
        replay.Finish(locked => unseen.ForEach(u => locked.Sources[u.Account] = new SourceSpan(u.Samples, locked.CreatedMs, locked.CreatedMs)));
        // Records behind the newest ledger frame that nobody can name: they were spooled, as far as the state has not counted them already.
        if (replay.Orphans.Samples > 0)
            books.Ledger.Of("").Spooled += Math.Max(0, replay.Orphans.Samples - unseen.Sum(u => u.Samples));
        state.TakeDropped(books.Ledger);
        foreach (SpoolSegment segment in books.Segments)
        {
            if (state.Acknowledged.TryGetValue(segment.Id, out SegmentFate held))
                books.TakeAcknowledged(segment, held.Complete ? segment.Records : Math.Min(held.Records, segment.Records), isNew: false);
        }
        books.Segments.RemoveAll(s => s.Records == 0 || (state.Acknowledged.TryGetValue(s.Id, out SegmentFate held) && held.Complete));
        books.Ledger.Keep();
        CountMissing(replay, state);
    }

    /// <summary>What is neither acknowledged nor held nor dropped cannot be read; what could not be read at an opening before and is there again was not lost.</summary>
    private void CountMissing(SpoolReplay replay, SpoolState state)
    {
        bool isKnown = state.SaysAcknowledged, anyLocked = books.Segments.Exists(s => s.Locked is not null);
        long newestMs = books.Segments.Count == 0 ? clock.GetUtcNow().ToUnixTimeMilliseconds() : books.Segments.Max(s => s.NewestMs);
        SourceSpan[] held = books.Held();
        for (int i = 0; i < held.Length; i++)
        {
            SpoolLedger.Account account = books.Ledger[i];
            long missing = account.Missing(held[i].Samples);
            SourceSpan lost = replay.LostOf(i, books.Log.Report.Lost);
            if (!isKnown && missing > 0)
            {
                // The state is lost: what the ledger frames do not know to be missing was acknowledged.
                account.Acknowledged = missing - Math.Min(missing, lost.Samples);
                missing -= account.Acknowledged;
            }
            if (lost.Samples == 0)
                lost = state.Buffered.GetValueOrDefault(account.Name);
            if (lost.Samples == 0)
                lost = new SourceSpan(0, newestMs, newestMs);
            if (missing > 0)
                books.CountDrop(i, SpoolDropReasons.Damaged, missing, lost.FromMs, lost.ToMs);
            else if (missing < 0 && !anyLocked) // of what is locked nobody can say how much of it is acknowledged
                TakeBack(account, -missing);
        }
    }

    private static void TakeBack(SpoolLedger.Account account, long samples)
    {
        DropCount damaged = account.Dropped.GetValueOrDefault(SpoolDropReasons.Damaged);
        long back = Math.Min(samples, damaged.Samples);
        if (back == damaged.Samples)
            account.Dropped.Remove(SpoolDropReasons.Damaged);
        else
            account.Dropped[SpoolDropReasons.Damaged] = damaged with { Samples = damaged.Samples - back };
        // Held again although it was acknowledged: the hello's answer tells it once more.
        account.Acknowledged = Math.Max(0, account.Acknowledged - (samples - back));
    }
}
