using System.Text;
using System.Text.Json;

namespace Bellwether.Core.Configuration;

/// <summary>Reads JSON into the same nodes as <see cref="YamlReader"/>, with places and the same limits.</summary>
public static class JsonReader
{
    /// <summary>Reads a text. A fault adds one error and gives null.</summary>
    public static ConfigNode? Read(ReadOnlySpan<byte> utf8, string file, List<ConfigError> errors)
    {
        if (utf8.Length > YamlReader.MaxCharacters)
        {
            errors.Add(new ConfigError(file, 0, 0, "", $"the file has {utf8.Length} bytes; at most {YamlReader.MaxCharacters} are read"));
            return null;
        }
        if (utf8.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
            utf8 = utf8[3..];
        int line = 1, column = 1, counted = 0;
        try
        {
            var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = YamlReader.MaxDepth });
            var open = new Stack<(ConfigNode Node, ConfigNode? Key)>();
            while (reader.Read())
            {
                Advance(utf8, (int)reader.TokenStartIndex, ref counted, ref line, ref column);
                if (reader.TokenType is JsonTokenType.StartArray or JsonTokenType.StartObject)
                {
                    open.Push((new ConfigNode(reader.TokenType == JsonTokenType.StartArray ? ConfigNodeKind.Sequence : ConfigNodeKind.Mapping, line, column), null));
                    continue;
                }
                bool ends = reader.TokenType is JsonTokenType.EndArray or JsonTokenType.EndObject;
                ConfigNode node = ends ? open.Pop().Node : Scalar(ref reader, line, column);
                if (!open.TryPop(out var parent))
                    return reader.Read() ? null : node;
                if (reader.TokenType == JsonTokenType.PropertyName)
                {
                    open.Push((parent.Node, node));
                    continue;
                }
                if (parent.Node.Kind == ConfigNodeKind.Sequence)
                {
                    parent.Node.ItemList.Add(node);
                }
                else if (parent.Node.IndexOf(parent.Key!.Text) >= 0)
                {
                    errors.Add(new ConfigError(file, parent.Key.Line, parent.Key.Column, "", $"key '{parent.Key.Text}' is there twice"));
                    return null;
                }
                else
                {
                    parent.Node.AddEntry(parent.Key, node);
                }
                open.Push((parent.Node, null));
            }
        }
        catch (JsonException e)
        {
            errors.Add(new ConfigError(file, (int)(e.LineNumber ?? 0) + 1, (int)(e.BytePositionInLine ?? 0) + 1, "", "not valid JSON: " + e.Message.Split(" LineNumber")[0]));
        }
        catch (InvalidOperationException)
        {
            errors.Add(new ConfigError(file, line, column, "", "a text holds half of a surrogate pair or bytes that are not UTF-8"));
        }
        return null;
    }

    private static ConfigNode Scalar(ref Utf8JsonReader reader, int line, int column) => reader.TokenType switch
    {
        JsonTokenType.Null => new ConfigNode(ConfigNodeKind.Scalar, line, column, isNull: true),
        JsonTokenType.String or JsonTokenType.PropertyName => new ConfigNode(ConfigNodeKind.Scalar, line, column, reader.GetString()!),
        _ => new ConfigNode(ConfigNodeKind.Scalar, line, column, Encoding.UTF8.GetString(reader.ValueSpan)),
    };

    private static void Advance(ReadOnlySpan<byte> utf8, int to, ref int counted, ref int line, ref int column)
    {
        for (; counted < to; counted++)
        {
            if (utf8[counted] == '\n')
                (line, column) = (line + 1, 1);
            else if ((utf8[counted] & 0xC0) != 0x80)
                column++;
        }
    }
}
