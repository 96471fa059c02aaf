using System.Diagnostics.CodeAnalysis;

namespace Bellwether.Core.Configuration;

/// <summary>One thing that is wrong in a configuration file, and where.</summary>
/// <param name="File">The file as it was named.</param>
/// <param name="Line">1-based; 0 = the file as a whole.</param>
/// <param name="Column">1-based.</param>
/// <param name="Path">The option, e.g. <c>scrape_configs[2].scrape_interval</c>; empty = the file as a whole.</param>
/// <param name="Message">What is wrong, and what would be right.</param>
public sealed record ConfigError(string File, int Line, int Column, string Path, string Message)
{
    /// <summary><c>file:line:column: path: message</c>.</summary>
    public override string ToString() =>
        (Line > 0 ? $"{File}:{Line}:{Column}: " : $"{File}: ") + (Path.Length > 0 ? $"{Path}: " : "") + Message;
}

/// <summary>A configuration, or everything that is wrong with it. Never both.</summary>
public sealed class ConfigResult<T>
    where T : class
{
    /// <summary>A good configuration.</summary>
    public ConfigResult(T value)
    {
        Value = value;
        Errors = [];
    }

    /// <summary>A refused one; at least one error.</summary>
    public ConfigResult(IReadOnlyList<ConfigError> errors)
    {
        if (errors.Count == 0)
            throw new ArgumentException("a refused configuration needs an error", nameof(errors));
        Errors = errors;
    }

    /// <summary>What is good and yet probably not what was meant, in file order.</summary>
    public IReadOnlyList<ConfigError> Warnings { get; init; } = [];

    /// <summary>Whether there is a configuration.</summary>
    [MemberNotNullWhen(true, nameof(Value))]
    public bool IsOk => Value is not null;

    /// <summary>The configuration, or null when it was refused.</summary>
    public T? Value { get; }

    /// <summary>What is wrong, in file order; empty when nothing is.</summary>
    public IReadOnlyList<ConfigError> Errors { get; }
}
