namespace Bellwether.Core.Configuration;

/// <summary>What an option is for, and when a changed value applies. docs/configuration.md is made from these by a test; the programs never read them.</summary>
[AttributeUsage(AttributeTargets.Property)]
public abstract class OptionAttribute(string text) : Attribute
{
    /// <summary>What it is for, in one or two sentences.</summary>
    public string Text { get; } = text;

    /// <summary>The key in the file, where it is not the property's name in small letters with underscores.</summary>
    public string Key { get; init; } = "";

    /// <summary>The default in words, where the property's own default does not say it.</summary>
    public string Default { get; init; } = "";
}

/// <summary>A changed value applies at the next reload (SIGHUP or <c>/-/reload</c>).</summary>
public sealed class ReloadAttribute(string text) : OptionAttribute(text);

/// <summary>A changed value applies at the next start.</summary>
public sealed class RestartAttribute(string text) : OptionAttribute(text);
