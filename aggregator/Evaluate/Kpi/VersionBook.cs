using Bellwether.Core.Platform;

namespace Bellwether.Evaluate.Kpi;

/// <summary>All versions that definitions of one kind ever had, with the record of them on disk. Thread-safe.</summary>
internal sealed class VersionBook : IDisposable
{
    private readonly Lock _gate = new();
    private readonly KpiJournal _journal;
    private readonly Dictionary<string, List<KpiVersion>> _versions = new(StringComparer.Ordinal);
    private readonly List<KpiVersion> _unwritten = [];

    /// <summary>Opens the record. Throws <see cref="IOException"/> when the folder cannot be had.</summary>
    public VersionBook(IDisk disk, string folder, TimeProvider time, Random random)
    {
        _journal = new KpiJournal(disk, folder, time, random);
        foreach (KpiVersion version in _journal.Found)
            VersionsOf(version.Name).Add(version);
    }

    /// <summary>Versions on the disk that cannot be read.</summary>
    public long Unreadable => _journal.Unreadable;

    /// <summary>All versions of a definition, the oldest first; also of one that is no more.</summary>
    public IReadOnlyList<KpiVersion> Versions(string name)
    {
        lock (_gate)
            return _versions.TryGetValue(name, out List<KpiVersion>? all) ? [.. all] : [];
    }

    /// <summary>Notes a definition that is in force; what makes the same numbers as the version before is none of its own.</summary>
    /// <param name="version">The definition, without number and time.</param>
    /// <param name="fromMs">The first step that it makes, Unix ms.</param>
    public void Note(KpiVersion version, long fromMs)
    {
        lock (_gate)
        {
            List<KpiVersion> all = VersionsOf(version.Name);
            KpiVersion? last = all.Count == 0 ? null : all[^1];
            if (last is not null && last.Hash == version.Hash && last.IsEnd == version.IsEnd)
                return;
            KpiVersion numbered = last is null
                ? version with { Number = 1, FromMs = fromMs, Changes = [] }
                : version with { Number = last.Number + 1, FromMs = Math.Max(fromMs, last.FromMs), Changes = version.ChangesSince(last) };
            all.Add(numbered);
            _unwritten.Add(numbered);
            if (all.Count > KpiLimits.VersionsMax)
                all.RemoveAt(0);
        }
    }

    /// <summary>Ends the definitions that are there no more.</summary>
    /// <param name="there">The names of those that are.</param>
    /// <param name="endMs">When one ends; given its last version.</param>
    public void EndOthers(IReadOnlySet<string> there, Func<KpiVersion, long> endMs)
    {
        KpiVersion[] gone;
        lock (_gate)
            gone = [.. _versions.Values.Where(v => v.Count > 0 && !v[^1].IsEnd && !there.Contains(v[^1].Name)).Select(v => v[^1])];
        foreach (KpiVersion last in gone)
            Note(new KpiVersion { Name = last.Name, IsEnd = true }, endMs(last));
    }

    /// <summary>Writes what is new. Returns how many the disk does not take now: they count, and are written with the next change.</summary>
    public int Write()
    {
        lock (_gate)
        {
            if (_unwritten.Count > 0 && _journal.Write(_unwritten))
                _unwritten.Clear();
            return _unwritten.Count;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _journal.Dispose();

    private List<KpiVersion> VersionsOf(string name)
    {
        if (!_versions.TryGetValue(name, out List<KpiVersion>? all))
            _versions.Add(name, all = []);
        return all;
    }
}
