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
/// log itself: a frame with all numbers stands before each segment, and the records behind it are counted when the log is opened. What is acknowledged survives by the state; of
/// these numbers follows how much cannot be read any more. Not thread-safe: the spool's lock covers it.
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

        /// <summary>Samples in records that an aggregator said it holds, before they were dropped.</summary>
        public long Acknowledged { get; set; }

        /// <summary><see cref="Early"/> and <see cref="Dropped"/> as the state on the disk has them.</summary>
        public long EarlyKept { get; private set; }

        private readonly Dictionary<string, DropCount> _droppedKept = new(StringComparer.Ordinal);

        /// <summary><see cref="Dropped"/> as the state on the disk has it.</summary>
        public IReadOnlyDictionary<string, DropCount> DroppedKept => _droppedKept;

        /// <summary>What is neither acknowledged nor held nor counted as dropped; less than nothing: what was missing is there again.</summary>
        public long Missing(long held) => Spooled + Early - Acknowledged - held - Dropped.Values.Sum(d => d.Samples);

        /// <summary>The numbers of what was dropped are on the disk.</summary>
        public void Keep()
        {
            EarlyKept = Early;
            _droppedKept.Clear();
            foreach ((string reason, DropCount drop) in Dropped)
                _droppedKept[reason] = drop;
        }

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

    /// <summary>Writes all numbers for the state, as of what is before <paramref name="waiting"/> (samples by account that the disk has not taken).</summary>
    public void Write(Utf8JsonWriter json, IReadOnlyDictionary<int, long> waiting)
    {
        json.WriteStartArray("sources");
        for (int i = 0; i < _accounts.Count; i++)
        {
            Account account = _accounts[i];
            json.WriteStartObject();
            json.WriteString("name", account.Name);
            json.WriteNumber("spooled", account.Spooled - waiting.GetValueOrDefault(i));
            json.WriteNumber("acknowledged", account.Acknowledged);
            if (account.Early > 0)
                json.WriteNumber("early", account.Early);
            WriteDrops(json, account.Dropped, account.Arrived);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The state with all numbers is on the disk.</summary>
    public void Keep()
    {
        foreach (Account account in _accounts)
            account.Keep();
    }

    /// <summary>
    /// The payload of a ledger frame. Of what was dropped it says what the state on the disk says: a dropped segment whose count is not there yet still has its file, and comes back
    /// after a crash. What arrived stands in the state alone, beside the list of what may still arrive: a frame that is newer than that list would let it be counted twice.
    /// </summary>
    public ReadOnlyMemory<byte> Frame()
    {
        var output = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteStartArray("sources");
            foreach (Account account in _accounts)
            {
                json.WriteStartObject();
                json.WriteString("name", account.Name);
                json.WriteNumber("spooled", account.Spooled);
                if (account.EarlyKept > 0)
                    json.WriteNumber("early", account.EarlyKept);
                WriteDrops(json, account.DroppedKept, null);
                json.WriteEndObject();
            }
            json.WriteEndArray();
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
            if (each.TryGetProperty("acknowledged", out JsonElement acknowledged))
                account.Acknowledged = Math.Max(account.Acknowledged, acknowledged.GetInt64());
            if (each.TryGetProperty("dropped", out JsonElement drops))
                TakeDrops(drops, account);
            spooled(account, each.GetProperty("spooled").GetInt64());
        }
    }

    private static void WriteDrops(Utf8JsonWriter json, IReadOnlyDictionary<string, DropCount> drops, Dictionary<string, long>? arrivals)
    {
        if (drops.Count == 0)
            return;
        json.WriteStartArray("dropped");
        foreach ((string reason, DropCount drop) in drops)
        {
            json.WriteStartObject();
            json.WriteString("reason", reason);
            json.WriteNumber("samples", drop.Samples);
            json.WriteNumber("from", drop.FromMs);
            json.WriteNumber("to", drop.ToMs);
            if (arrivals is not null && arrivals.TryGetValue(reason, out long arrived))
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
