namespace Bellwether.Agent.Spool;

// Opening: what the log holds, what the state remembers, and what of it is missing.
internal sealed partial class LogSpool
{
    /// <summary>Brings the replayed segments and the remembered state together, and says which epoch it is.</summary>
    private SpoolState Recover(SpoolReplay replay, SpoolState? kept)
    {
        SpoolState state = kept ?? new SpoolState();
        bool lost = _log.Report.Lost.Any(l => l.NextSequence > l.FirstSequence);
        bool recreated = _log.Report.IsNew && state.NextNumber > 1;
        // Without a state the old epoch may be unknown: seconds since 1970 lie above every epoch that grew by losses.
        if (kept is null)
            state.Epoch = Math.Max(replay.EpochMax + 1, (ulong)Math.Max(1, _clock.GetUtcNow().ToUnixTimeSeconds()));
        else if (lost || recreated)
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax) + 1;
        else
            state.Epoch = Math.Max(state.Epoch, replay.EpochMax);
        state.NextNumber = Math.Max(state.NextNumber, replay.NumberMax + 1);
        long newestMs = _segments.Count == 0 ? 0 : _segments.Max(s => s.NewestMs);
        Previous = new PreviousEnd(kept is not null && state.NextNumber > 1, state.StoppedMs > 0, state.StoppedMs > 0 ? state.StoppedMs : Math.Max(0, newestMs));
        state.StoppedMs = 0;
        RecoverLedger(replay, state);
        return state;
    }

    /// <summary>Brings the ledger of the log and that of the state together: each number is the larger of the two, since both only grow. What then is missing is counted.</summary>
    private void RecoverLedger(SpoolReplay replay, SpoolState state)
    {
        var unseen = new List<(int Account, long Samples)>();
        if (state.Ledger is { } written)
        {
            _ledger.Take(written, (account, spooled) =>
            {
                if (spooled > account.Spooled)
                    unseen.Add((_ledger.IndexOf(account.Name), spooled - account.Spooled));
                account.Spooled = Math.Max(account.Spooled, spooled);
            });
        }
        replay.Finish(locked => unseen.ForEach(u => locked.Sources[u.Account] = new SourceSpan(u.Samples, locked.CreatedMs, locked.CreatedMs)));
        // Records behind the newest ledger frame that nobody can name: they were spooled, as far as the state has not counted them already.
        if (replay.Orphans.Samples > 0)
            _ledger.Of("").Spooled += Math.Max(0, replay.Orphans.Samples - unseen.Sum(u => u.Samples));
        state.TakeDropped(_ledger);
        foreach (SpoolSegment segment in _segments)
        {
            if (state.Acknowledged.TryGetValue(segment.Id, out SegmentFate held))
                TakeAcknowledged(segment, held.Complete ? segment.Records : Math.Min(held.Records, segment.Records), isNew: false);
        }
        _segments.RemoveAll(s => s.Records == 0 || (state.Acknowledged.TryGetValue(s.Id, out SegmentFate held) && held.Complete));
        _ledger.Keep();
        CountMissing(replay, state);
        _droppedSamples = _ledger.Accounts.Sum(a => a.Dropped.Values.Sum(d => d.Samples));
    }

    /// <summary>What is neither acknowledged nor held nor dropped cannot be read; what could not be read at an opening before and is there again was not lost.</summary>
    private void CountMissing(SpoolReplay replay, SpoolState state)
    {
        bool isKnown = state.SaysAcknowledged, anyLocked = _segments.Exists(s => s.Locked is not null);
        long newestMs = _segments.Count == 0 ? _clock.GetUtcNow().ToUnixTimeMilliseconds() : _segments.Max(s => s.NewestMs);
        SourceSpan[] held = Held();
        for (int i = 0; i < held.Length; i++)
        {
            SpoolLedger.Account account = _ledger[i];
            long missing = account.Missing(held[i].Samples);
            SourceSpan lost = replay.LostOf(i, _log.Report.Lost);
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
                CountDrop(i, SpoolDropReasons.Damaged, missing, lost.FromMs, lost.ToMs);
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
