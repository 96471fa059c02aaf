namespace Bellwether.Core.Configuration;

/// <summary>What an option is for; when a changed value applies says the section that holds it. docs/configuration.md is made from these by a test; the programs never read them.</summary>
[AttributeUsage(AttributeTargets.Property, AllowMultiple = true)]
public class OptionAttribute(string text) : Attribute
{
    /// <summary>What it is for, in one or two sentences.</summary>
    public string Text { get; } = text;

    /// <summary>The key in the file, where it is not the property's name in small letters with underscores.</summary>
    public string Key { get; init; } = "";

    /// <summary>The default in words, where the property's own default does not say it.</summary>
    public string Default { get; init; } = "";

    /// <summary>The type in words, where the property's own type does not say it.</summary>
    public string Type { get; init; } = "";
}

/// <summary>A changed value applies at the next reload (SIGHUP or <c>/-/reload</c>).</summary>
public sealed class ReloadAttribute(string text) : OptionAttribute(text);

/// <summary>A changed value applies at the next start.</summary>
public sealed class RestartAttribute(string text) : OptionAttribute(text);

/// <summary>The keys of this property's type stand among those of the section itself, not in a section of their own.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SpreadAttribute : Attribute;
