namespace Bellwether.Core.Exposition;

/// <summary>Why a body could not be read, and where.</summary>
/// <param name="Line">1-based; 0: the body as a whole.</param>
/// <param name="Column">1-based, in bytes; 0: the line as a whole.</param>
/// <param name="Reason">What is wrong and what would be right.</param>
public sealed record ExpositionError(int Line, int Column, string Reason)
{
    /// <summary>The error as a line for logs and status pages.</summary>
    public override string ToString() => Line == 0 ? Reason : $"line {Line}, column {Column}: {Reason}";
}
