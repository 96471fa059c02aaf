using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;

namespace Bellwether.Evaluate.Rules.Healing;

/// <summary>
/// Since when each recording rule has its present text, in a small file: history stays what the rule of its time made it. A rule that was never there before may be evaluated over all
/// that is stored. Thread-safe.
/// </summary>
public sealed class RuleVersions
{
    private const string FileName = "rule-versions";
    private const int FileBytesMax = 64 << 20;
    private readonly IDisk? _disk;
    private readonly string _path;
    private readonly Lock _gate = new();
    private Dictionary<string, long> _new = new(StringComparer.Ordinal);
    private HashSet<string> _inForce = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _owed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Hash, long SinceMs)> _known = new(StringComparer.Ordinal);

    /// <summary>Reads what is there; a damaged file counts as empty. Without a disk nothing is kept.</summary>
    public RuleVersions(IDisk? disk, string folder)
    {
        _disk = disk;
        _path = Path.Combine(folder, FileName);
        Load();
    }

    /// <summary>Rules that are kept.</summary>
    internal int RulesMax { get; init; } = 200_000;

    /// <summary>Notes the rules that are in force from now on. False: the disk does not take it now.</summary>
    public bool Note(IEnumerable<RuleGroupDefinition> groups, long nowMs)
    {
        lock (_gate)
        {
            bool isChanged = false;
            _new = new Dictionary<string, long>(StringComparer.Ordinal);
            _inForce = new HashSet<string>(StringComparer.Ordinal);
            foreach (RuleGroupDefinition group in groups)
            {
                foreach (RuleDefinition rule in group.Rules.Where(r => !r.IsAlert))
                {
                    string key = KeyOf(group.Name, rule), hash = HashOf(rule);
                    _inForce.Add(key);
                    if (_known.TryGetValue(key, out (string Hash, long SinceMs) known) && known.Hash == hash)
                    {
                        if (_owed.TryGetValue(key, out long owedMs))
                            _new[key] = owedMs;
                        continue;
                    }
                    _known[key] = (hash, known.Hash is null ? 0 : nowMs);
                    // What is changed before it had its past is not new any more: history stays what the rule of its time made it.
                    _owed.Remove(key);
                    if (known.Hash is null)
                        _new[key] = _owed[key] = nowMs;
                    isChanged = true;
                }
            }
            return !isChanged || Save();
        }
    }

    /// <summary>The rules in force that have no past yet: those that were there for the first time when rules were noted last, and those from before of which nobody said <see cref="HasPast"/>; null: none.</summary>
    public NewRuleSet? New
    {
        get
        {
            lock (_gate)
                return _new.Count == 0 ? null : new NewRuleSet(_new.Keys.ToHashSet(StringComparer.Ordinal), _new.Values.Min());
        }
    }

    /// <summary>Rules got their past, or are to have none: they are new no more. False: the disk does not take it now.</summary>
    public bool HasPast(NewRuleSet rules)
    {
        lock (_gate)
        {
            foreach (string key in rules.Keys)
            {
                _new.Remove(key);
                _owed.Remove(key);
            }
            return Save();
        }
    }

    /// <summary>Since when the rule has its text, Unix ms; 0: always.</summary>
    public long SinceMs(string group, RuleDefinition rule)
    {
        lock (_gate)
            return _known.TryGetValue(KeyOf(group, rule), out (string Hash, long SinceMs) known) ? known.SinceMs : 0;
    }

    // The labels of a recording rule tell it from others of the same name; one without a text is no label.
    internal static string KeyOf(string group, RuleDefinition rule) => $"{group}/{rule.Name}{{{string.Join(',', rule.Labels.Where(l => l.Value.Text.Length > 0).Select(l => $"{l.Key}={l.Value.Text}"))}}}";

    private static string HashOf(RuleDefinition rule) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(rule.Query))[..8]);

    private bool Save()
    {
        if (_disk is null)
            return true;
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            // What would not be read again is not written: of too many those that are in force come first.
            foreach ((string key, (string hash, long since)) in _known.OrderByDescending(k => _inForce.Contains(k.Key)).ThenByDescending(k => k.Value.SinceMs).Take(RulesMax))
            {
                if (json.BytesCommitted + json.BytesPending + (6L * key.Length) + 200 > FileBytesMax)
                    break;
                json.WriteStartArray(key);
                json.WriteStringValue(hash);
                json.WriteNumberValue(since);
                if (_owed.TryGetValue(key, out long owed))
                    json.WriteNumberValue(owed);
                json.WriteEndArray();
            }
            json.WriteEndObject();
        }
        try
        {
            AtomicFile.Write(_disk, _path, buffer.WrittenSpan);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private void Load()
    {
        try
        {
            if (_disk is null || AtomicFile.TryRead(_disk, _path, FileBytesMax, out byte[] content) != AtomicFileOutcome.Read)
                return;
            using JsonDocument document = JsonDocument.Parse(content);
            foreach (JsonProperty rule in document.RootElement.EnumerateObject())
            {
                _known[rule.Name] = (rule.Value[0].GetString() ?? "", rule.Value[1].GetInt64());
                if (rule.Value.GetArrayLength() > 2)
                    _owed[rule.Name] = rule.Value[2].GetInt64();
            }
        }
        catch (Exception e) when (e is IOException or JsonException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            // Without it every rule counts as if it had always been so.
            _known.Clear();
            _owed.Clear();
        }
    }
}

/// <summary>Rules that have no past yet. Immutable.</summary>
/// <param name="Keys">Which.</param>
/// <param name="FirstMs">When the first of them was there, Unix ms.</param>
public sealed record NewRuleSet(IReadOnlySet<string> Keys, long FirstMs)
{
    /// <summary>Whether a rule of a group is one of them.</summary>
    public bool Has(string group, RuleDefinition rule) => Keys.Contains(RuleVersions.KeyOf(group, rule));
}
