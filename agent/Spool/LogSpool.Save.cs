using Bellwether.Agent.Stream;
using Bellwether.Core.Durable;

namespace Bellwether.Agent.Spool;

// The state beside the log, and the files that it lets go.
internal sealed partial class LogSpool
{
    /// <summary>Writes the state. Until that worked (<see cref="_stateDirty"/>) no file may go: a crash would lose the count of what was in it.</summary>
    private void SaveState()
    {
        foreach (SpoolSegment segment in _segments)
        {
            if (segment.Acknowledged > 0)
                _state.Acknowledged[segment.Id] = new SegmentFate(segment.Acknowledged, false, segment.FirstSequence, segment.EndSequence);
        }
        _state.Epoch = _share.Epoch;
        _state.NextNumber = _share.NextNumber;
        ForgetFreed();
        _stateSavedMs = _clock.GetUtcNow().ToUnixTimeMilliseconds();
        try
        {
            _stateFile.Write(_state.Content(_ledger, NotDurable()), _log.ReleaseReserve);
            _stateDirty = false;
            _ledger.Keep();
        }
        catch (IOException error)
        {
            NoteError(error);
            _stateSavedMs = 0; // the next sync tries again
        }
    }

    /// <summary>Forgets finished segments of which no frame stands in the log any more; the newest stay a while, since a file that was freed may come back with a power cut. A segment whose key is gone may stand there for ever: behind it is forgotten all the same.</summary>
    private void ForgetFreed()
    {
        ulong keepFrom = _segments.Find(s => s.Locked is null)?.Id.Number ?? _state.NextNumber;
        IReadOnlyList<LogFileInfo> files = _log.Files;
        foreach ((SegmentRef id, SegmentFate fate) in _state.Acknowledged)
        {
            if (id.Number + 8 < keepFrom && !files.Any(f => fate.FirstSequence - 1 < f.NextSequence && fate.EndSequence > f.FirstSequence))
                _state.Acknowledged.Remove(id);
        }
    }

    /// <summary>Samples by account that wait for a sync; notes beside what is held, for the case that the log is lost.</summary>
    private Dictionary<int, long> NotDurable()
    {
        var waiting = new Dictionary<int, long>();
        _state.Buffered.Clear();
        foreach (SpoolSegment segment in _segments)
        {
            for (int i = (int)segment.Records; segment.Waiting > 0 && i < (segment.Facts?.Count ?? 0); i++)
                waiting[segment.Facts![i].Account] = waiting.GetValueOrDefault(segment.Facts[i].Account) + segment.Facts[i].Samples;
            foreach ((int account, SourceSpan span) in segment.Sources)
            {
                string name = _ledger[account].Name;
                SourceSpan known = _state.Buffered.GetValueOrDefault(name);
                _state.Buffered[name] = known.Samples == 0 ? span : new SourceSpan(known.Samples + span.Samples, Math.Min(known.FromMs, span.FromMs), Math.Max(known.ToMs, span.ToMs));
            }
        }
        return waiting;
    }

    /// <summary>Frees the log's files in which no segment has a frame any more, once the state says what became of them. Returns how many.</summary>
    private int FreeFiles()
    {
        if (_stateDirty)
            return 0;
        var needless = new List<ulong>();
        foreach (LogFileInfo file in _log.Files)
        {
            bool used = _segments.Exists(s => s.FirstSequence - 1 < file.NextSequence && s.EndSequence > file.FirstSequence);
            if (!used)
                needless.Add(file.Number);
        }
        return needless.Count > 0 ? _log.FreeFiles(needless) : 0;
    }
}
