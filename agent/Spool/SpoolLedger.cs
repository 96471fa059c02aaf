using System.Buffers;
using System.Text.Json;

namespace Bellwether.Agent.Spool;

/// <summary>Samples that were dropped of one source for one reason, and the range (Unix ms) that they lie in.</summary>
internal readonly record struct DropCount(long Samples, long FromMs, long ToMs)
{
    public DropCount Plus(long samples, long fromMs, long toMs) => Samples == 0 ? new DropCount(samples, fromMs, toMs) : new DropCount(Samples + samples, Math.Min(FromMs, fromMs), Math.Max(ToMs, toMs));

    /// <summary>Of two copies of one count the later: it only grows.</summary>
    public static DropCount Later(DropCount a, DropCount b) => a.Samples >= b.Samples ? a : b;
}

/// <summary>
/// What the spool was given and what became of it, by source: produced = spooled + dropped before; spooled = acknowledged + buffered + dropped since. Spooled survives by the
/// log itself: a frame with all numbers stands before each segment, and the records behind it are counted when the log is opened. Not thread-safe: the spool's lock covers it.
/// </summary>
internal sealed class SpoolLedger(int sourcesMax)
{
    private readonly List<Account> _accounts = [];
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);

    public sealed class Account(string name)
    {
        public string Name => name;

        /// <summary>Samples in records, those that wait for a sync included.</summary>
        public long Spooled { get; set; }

        /// <summary>Samples dropped before they were in a record that the disk took.</summary>
        public long Early { get; set; }

        public Dictionary<string, DropCount> Dropped { get; } = new(StringComparer.Ordinal);

        /// <summary>Of what was dropped, by reason: samples that had been sent before, and turned out to have arrived.</summary>
        public Dictionary<string, long> Arrived { get; } = new(StringComparer.Ordinal);

        /// <summary>What was dropped and has not arrived.</summary>
        public IEnumerable<KeyValuePair<string, DropCount>> Lost =>
            Dropped.Select(d => KeyValuePair.Create(d.Key, d.Value with { Samples = d.Value.Samples - Arrived.GetValueOrDefault(d.Key) })).Where(d => d.Value.Samples > 0);
    }

    public IReadOnlyList<Account> Accounts => _accounts;

    public Account this[int index] => _accounts[index];

    /// <summary>The place of a source; beyond the bound all share the one without a name.</summary>
    public int IndexOf(string name)
    {
        if (_byName.TryGetValue(name, out int index))
            return index;
        if (_accounts.Count >= sourcesMax && name.Length > 0)
            return IndexOf("");
        _accounts.Add(new Account(name));
        _byName.Add(name, _accounts.Count - 1);
        return _accounts.Count - 1;
    }

    public Account Of(string name) => _accounts[IndexOf(name)];

    /// <summary>Writes all numbers, as of what is before <paramref name="waiting"/> (samples by account that the disk has not taken; null: none are left out).</summary>
    public void Write(Utf8JsonWriter json, IReadOnlyDictionary<int, long>? waiting)
    {
        json.WriteStartArray("sources");
        for (int i = 0; i < _accounts.Count; i++)
        {
            Account account = _accounts[i];
            json.WriteStartObject();
            json.WriteString("name", account.Name);
            json.WriteNumber("spooled", account.Spooled - (waiting?.GetValueOrDefault(i) ?? 0));
            if (account.Early > 0)
                json.WriteNumber("early", account.Early);
            if (account.Dropped.Count > 0)
                WriteDrops(json, account, withArrived: waiting is not null);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The payload of a ledger frame.</summary>
    public ReadOnlyMemory<byte> Frame()
    {
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            Write(json, null);
            json.WriteEndObject();
        }
        return output.WrittenMemory;
    }

    /// <summary>Takes over what was written: each number only grows. <paramref name="spooled"/> gets each source's number as it stood there.</summary>
    public void Take(JsonElement root, Action<Account, long> spooled)
    {
        if (!root.TryGetProperty("sources", out JsonElement sources))
            return;
        foreach (JsonElement each in sources.EnumerateArray())
        {
            Account account = Of(each.GetProperty("name").GetString()!);
            if (each.TryGetProperty("early", out JsonElement early))
                account.Early = Math.Max(account.Early, early.GetInt64());
            if (each.TryGetProperty("dropped", out JsonElement drops))
                TakeDrops(drops, account);
            spooled(account, each.GetProperty("spooled").GetInt64());
        }
    }

    // What arrived stands in the state alone, beside the list of what may still arrive: a frame of the log that is newer than that list would let it be counted twice.
    private static void WriteDrops(Utf8JsonWriter json, Account account, bool withArrived)
    {
        json.WriteStartArray("dropped");
        foreach ((string reason, DropCount drop) in account.Dropped)
        {
            json.WriteStartObject();
            json.WriteString("reason", reason);
            json.WriteNumber("samples", drop.Samples);
            json.WriteNumber("from", drop.FromMs);
            json.WriteNumber("to", drop.ToMs);
            if (withArrived && account.Arrived.TryGetValue(reason, out long arrived))
                json.WriteNumber("arrived", arrived);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void TakeDrops(JsonElement drops, Account account)
    {
        foreach (JsonElement each in drops.EnumerateArray())
        {
            string reason = each.GetProperty("reason").GetString()!;
            var there = new DropCount(each.GetProperty("samples").GetInt64(), each.GetProperty("from").GetInt64(), each.GetProperty("to").GetInt64());
            account.Dropped[reason] = DropCount.Later(account.Dropped.GetValueOrDefault(reason), there);
            if (each.TryGetProperty("arrived", out JsonElement arrived))
                account.Arrived[reason] = Math.Max(account.Arrived.GetValueOrDefault(reason), arrived.GetInt64());
        }
    }
}
