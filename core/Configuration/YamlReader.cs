using System.Text;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Bellwether.Core.Configuration;

/// <summary>
/// Reads one YAML document into nodes with places. Safe against hostile files: size, depth, aliases and the number of nodes after aliases are written out are bounded,
/// and nothing recurses (YamlDotNet's own readers overflow the stack on 20 kB of <c>[</c>, so only its event parser is used).
/// Understands what Go's YAML understands in Prometheus' files: anchors, aliases, merges (<c>&lt;&lt;</c>), <c>!!binary</c>, and null.
/// </summary>
public static class YamlReader
{
    /// <summary>The largest file, in characters.</summary>
    public const int MaxCharacters = 16 * 1024 * 1024;

    /// <summary>The deepest nesting.</summary>
    public const int MaxDepth = 64;

    /// <summary>The most aliases.</summary>
    public const int MaxAliases = 1000;

    /// <summary>The most nodes, each alias counted as what it stands for.</summary>
    public const int MaxNodes = 1_000_000;

    /// <summary>Reads a text. Null without error when the document is empty. A fault adds one error and gives null.</summary>
    public static ConfigNode? Read(string text, string file, List<ConfigError> errors)
    {
        if (text.Length > MaxCharacters)
        {
            errors.Add(new ConfigError(file, 0, 0, "", $"the file has {text.Length} characters; at most {MaxCharacters} are read"));
            return null;
        }
        var build = new Build(file, errors);
        Parser? parser = null;
        try
        {
            parser = new Parser(new StringReader(text.StartsWith('\uFEFF') ? text[1..] : text));
            while (parser.MoveNext())
            {
                if (!build.Take(parser.Current!))
                    return null;
            }
        }
        catch (YamlException e)
        {
            errors.Add(new ConfigError(file, Number(e.Start.Line), Number(e.Start.Column), "", $"not valid YAML: {e.Message.TrimEnd('.')}"));
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or IndexOutOfRangeException or KeyNotFoundException or NullReferenceException or FormatException or OverflowException)
        {
            // The scanner throws more than it says on some broken input: a user's file must never end a running program.
            Mark near = parser?.Current?.End ?? Mark.Empty;
            errors.Add(new ConfigError(file, Number(near.Line), Number(near.Column), "", "not valid YAML near here: brackets or braces do not match"));
            return null;
        }
        return build.Root;
    }

    private static int Number(long value) => (int)Math.Min(value, int.MaxValue);

    /// <summary>The state between two events.</summary>
    private sealed class Build(string file, List<ConfigError> errors)
    {
        private readonly Stack<(ConfigNode Node, ConfigNode? Key, string? Anchor)> _open = new();
        private readonly Dictionary<string, ConfigNode> _anchors = new(StringComparer.Ordinal);
        private int _aliases;
        private long _nodes;
        private bool _documentSeen;

        public ConfigNode? Root { get; private set; }

        /// <summary>False after an error that ends the reading.</summary>
        public bool Take(ParsingEvent e)
        {
            switch (e)
            {
                case DocumentStart when _documentSeen:
                    return Fault(e, "a second document; one file holds one document");
                case DocumentStart:
                    _documentSeen = true;
                    return true;
                case Scalar scalar:
                    ConfigNode node = ToNode(scalar);
                    Remember(scalar, node);
                    return Place(node, e);
                case SequenceStart start:
                    return Open(start, ConfigNodeKind.Sequence);
                case MappingStart start:
                    return Open(start, ConfigNodeKind.Mapping);
                case SequenceEnd or MappingEnd:
                    return Close(e);
                case AnchorAlias alias:
                    return Alias(alias);
                default:
                    return true;
            }
        }

        private bool Open(NodeEvent e, ConfigNodeKind kind)
        {
            if (_open.Count == MaxDepth)
                return Fault(e, $"nested deeper than {MaxDepth} levels");
            if (_open.TryPeek(out var parent) && parent.Node.Kind == ConfigNodeKind.Mapping && parent.Key is null)
                return Fault(e, "a key must be a plain text");
            _open.Push((new ConfigNode(kind, Number(e.Start.Line), Number(e.Start.Column)), null, e.Anchor.IsEmpty ? null : e.Anchor.Value));
            return true;
        }

        private bool Close(ParsingEvent e)
        {
            (ConfigNode node, _, string? anchor) = _open.Pop();
            if (anchor is not null)
                _anchors[anchor] = node;
            return Place(node, e);
        }

        private bool Alias(AnchorAlias alias)
        {
            if (++_aliases > MaxAliases)
                return Fault(alias, $"more than {MaxAliases} aliases");
            return _anchors.TryGetValue(alias.Value.Value, out ConfigNode? node)
                ? Place(node, alias)
                : Fault(alias, $"'*{alias.Value.Value}' is used before '&{alias.Value.Value}' is complete");
        }

        private void Remember(NodeEvent e, ConfigNode node)
        {
            if (!e.Anchor.IsEmpty)
                _anchors[e.Anchor.Value] = node;
        }

        /// <summary>Hands a complete node to what is open around it.</summary>
        private bool Place(ConfigNode node, ParsingEvent e)
        {
            if (e is AnchorAlias or Scalar && (_nodes += node.Weight) > MaxNodes)
                return Fault(e, $"more than {MaxNodes} values");
            if (!_open.TryPop(out var parent))
            {
                Root = node;
                return true;
            }
            if (parent.Node.Kind == ConfigNodeKind.Sequence)
            {
                parent.Node.ItemList.Add(node);
            }
            else if (parent.Key is null)
            {
                if (node.Kind != ConfigNodeKind.Scalar)
                    return Fault(e, "a key must be a plain text");
                _open.Push((parent.Node, node, parent.Anchor));
                return true;
            }
            else if (!AddEntry(parent.Node, parent.Key, node))
            {
                return false;
            }
            parent.Node.Weight += node.Weight;
            if (parent.Node.Weight > MaxNodes)
                return Fault(e, $"more than {MaxNodes} values");
            _open.Push((parent.Node, null, parent.Anchor));
            return true;
        }

        private bool AddEntry(ConfigNode mapping, ConfigNode key, ConfigNode value)
        {
            if (key.Text == "<<" && value.Kind != ConfigNodeKind.Scalar)
                return Merge(mapping, key, value);
            int at = mapping.IndexOf(key.Text);
            if (at >= 0 && mapping.EntryList[at].Key is { } first && !IsMerged(mapping, first))
            {
                errors.Add(new ConfigError(file, key.Line, key.Column, "", $"key '{key.Text}' is there twice; first in line {first.Line}"));
                return false;
            }
            // An own key wins over a merged one, wherever it stands.
            if (at >= 0)
                mapping.EntryList[at] = (key, value);
            else
                mapping.AddEntry(key, value);
            return true;
        }

        private readonly Dictionary<ConfigNode, HashSet<ConfigNode>> _merged = [];

        private bool IsMerged(ConfigNode mapping, ConfigNode key) => _merged.TryGetValue(mapping, out HashSet<ConfigNode>? keys) && keys.Contains(key);

        private bool Merge(ConfigNode mapping, ConfigNode key, ConfigNode value)
        {
            IEnumerable<ConfigNode> sources = value.Kind == ConfigNodeKind.Sequence ? value.Items : [value];
            foreach (ConfigNode source in sources)
            {
                if (source.Kind != ConfigNodeKind.Mapping)
                {
                    errors.Add(new ConfigError(file, key.Line, key.Column, "", "'<<' takes a section of keys, or a list of them"));
                    return false;
                }
                foreach ((ConfigNode k, ConfigNode v) in source.EntryList)
                {
                    if (mapping.Find(k.Text) is not null)
                        continue;
                    mapping.AddEntry(k, v);
                    if (!_merged.TryGetValue(mapping, out HashSet<ConfigNode>? keys))
                        _merged[mapping] = keys = [];
                    keys.Add(k);
                }
            }
            return true;
        }

        private bool Fault(ParsingEvent e, string message)
        {
            errors.Add(new ConfigError(file, Number(e.Start.Line), Number(e.Start.Column), "", message));
            return false;
        }

        private static ConfigNode ToNode(Scalar scalar)
        {
            int line = Number(scalar.Start.Line), column = Number(scalar.Start.Column);
            string tag = scalar.Tag.IsEmpty ? "" : scalar.Tag.Value;
            if (tag is "tag:yaml.org,2002:binary")
                return Binary(scalar.Value, line, column);
            bool plain = scalar.Style == ScalarStyle.Plain && tag.Length == 0;
            bool isNull = (plain && scalar.Value is "" or "~" or "null" or "Null" or "NULL") || tag is "tag:yaml.org,2002:null";
            return new ConfigNode(ConfigNodeKind.Scalar, line, column, isNull ? "" : scalar.Value, isNull);
        }

        private static ConfigNode Binary(string text, int line, int column)
        {
            byte[] bytes = new byte[text.Length];
            if (!Convert.TryFromBase64String(text, bytes, out int length))
                return new ConfigNode(ConfigNodeKind.Scalar, line, column, text, fault: $"!!binary '{text}' is not base64");
            var strict = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
            if (System.Text.Unicode.Utf8.IsValid(bytes.AsSpan(0, length)))
                return new ConfigNode(ConfigNodeKind.Scalar, line, column, strict.GetString(bytes, 0, length));
            return new ConfigNode(ConfigNodeKind.Scalar, line, column, text, fault: $"!!binary '{text}' is not UTF-8 text");
        }
    }
}
