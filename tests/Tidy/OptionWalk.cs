using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using Bellwether.Core.Configuration;
using Bellwether.Core.Model;

namespace Bellwether.Tidy;

/// <summary>One key of a section.</summary>
/// <param name="Key">As in the file.</param>
/// <param name="Type">In words.</param>
/// <param name="Default">In words or as written in the file.</param>
/// <param name="Text">What it is for.</param>
/// <param name="Reloads">Whether a reload takes a new value; null = the section around says it.</param>
internal sealed record OptionRow(string Key, string Type, string Default, string Text, bool? Reloads)
{
    /// <summary>The section that it holds, or null.</summary>
    public OptionSection? Section { get; init; }
}

/// <summary>A section of a configuration file: its path (lists end in <c>[]</c>) and its keys.</summary>
internal sealed record OptionSection(string Path, Type Type, IReadOnlyList<OptionRow> Rows);

/// <summary>Walks a configuration record by its option attributes.</summary>
internal static class OptionWalk
{
    /// <summary>A record and all sections below it.</summary>
    public static OptionSection Of(Type type, string path, object? defaults = null) => new(path, type, [.. RowsOf(type, path, defaults ?? New(type))]);

    /// <summary>A section and all below it, in the order of the file's keys.</summary>
    public static IEnumerable<OptionSection> All(OptionSection section) =>
        section.Rows.Select(r => r.Section).OfType<OptionSection>().SelectMany(All).Prepend(section);

    private static IEnumerable<OptionRow> RowsOf(Type type, string path, object defaults)
    {
        foreach (PropertyInfo property in type.GetProperties().Where(p => p.SetMethod is not null).OrderBy(p => p.MetadataToken))
        {
            object? value = property.GetValue(defaults);
            if (property.GetCustomAttribute<SpreadAttribute>() is not null)
            {
                foreach (OptionRow row in RowsOf(property.PropertyType, path, value ?? New(property.PropertyType)))
                    yield return row;
                continue;
            }
            bool isList = IsList(property.PropertyType);
            Type inner = isList ? property.PropertyType.GetGenericArguments()[0] : property.PropertyType;
            OptionAttribute[] options = [.. property.GetCustomAttributes<OptionAttribute>()];
            if (options.Length == 0 && IsSection(inner))
                options = [new OptionAttribute("")];
            foreach (OptionAttribute option in options)
            {
                string key = option.Key.Length > 0 ? option.Key : SnakeCase(property.Name);
                string below = path.Length == 0 ? key : $"{path}.{key}";
                OptionSection? section = option.Type.Length > 0 || !IsSection(inner) ? null
                    : isList ? Of(inner, below + "[]") : Of(inner, below, value);
                string shown = option.Type.Length > 0 ? option.Type : section is not null ? isList ? "list of sections" : "section" : TypeOf(inner, isList, key);
                yield return new OptionRow(key, shown, option.Default.Length > 0 ? option.Default : DefaultOf(value, section), option.Text, Reloads(option)) { Section = section };
            }
        }
    }

    private static bool? Reloads(OptionAttribute option) => option switch { ReloadAttribute => true, RestartAttribute => false, _ => null };

    private static bool IsList(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ValueList<>);

    private static bool IsSection(Type type) =>
        type is { IsClass: true, Namespace: { } name } && name.StartsWith("Bellwether.", StringComparison.Ordinal) && !IsList(type)
        && type.GetProperties().Any(p => p.SetMethod is not null
            && (p.GetCustomAttributes<OptionAttribute>().Any() || p.GetCustomAttribute<SpreadAttribute>() is not null || IsSection(p.PropertyType)));

    private static object New(Type type) => type.GetConstructor([]) is { } constructor ? constructor.Invoke(null) : RuntimeHelpers.GetUninitializedObject(type);

    private static string TypeOf(Type type, bool isList, string key)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (isList)
            return key.EndsWith("files", StringComparison.Ordinal) ? "list of files" : "list of texts";
        if (type.IsEnum)
            return "word";
        if (type == typeof(string))
            return key.EndsWith("_file", StringComparison.Ordinal) ? "file" : "text";
        return type.Name switch
        {
            nameof(TimeSpan) => "duration",
            nameof(ByteSize) => "size",
            nameof(Boolean) => "true or false",
            nameof(Int32) or nameof(Int64) or nameof(UInt64) => "whole number",
            nameof(Double) => "number",
            nameof(Secret) => "secret",
            nameof(Labels) => "labels",
            _ => throw new InvalidOperationException($"no word for the type {type} of {key}"),
        };
    }

    private static string DefaultOf(object? value, OptionSection? section) => value switch
    {
        _ when section is not null => "",
        null or "" or ICollection { Count: 0 } or IReadOnlyCollection<object> { Count: 0 } => "none",
        Labels { Count: 0 } => "none",
        bool flag => flag ? "true" : "false",
        TimeSpan time => PrometheusDuration.Format(time),
        Enum word => SnakeCase(word.ToString()),
        string text => $"`{text}`",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    /// <summary>A property's name as a key: <c>MaxSize</c> is <c>max_size</c>, <c>TokenSha256</c> is <c>token_sha256</c>, <c>EnableHttp2</c> is <c>enable_http2</c>.</summary>
    private static string SnakeCase(string name)
    {
        var key = new StringBuilder();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterUpper(c) && key.Length > 0)
                key.Append('_');
            key.Append(char.ToLowerInvariant(c));
        }
        return key.ToString();
    }
}
