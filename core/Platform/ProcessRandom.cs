using System.Security.Cryptography;

namespace Bellwether.Core.Platform;

/// <summary>The only door to randomness. Everything else takes a <see cref="Random"/> that was made here or from a test's seed.</summary>
public static class ProcessRandom
{
    /// <summary>A generator with a seed of its own; not thread-safe, not for secrets.</summary>
    public static Random Create() => new(RandomNumberGenerator.GetInt32(int.MaxValue));
}
