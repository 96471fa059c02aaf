namespace Bellwether.Simulation;

/// <summary>What happened in a run: a hash over all of it, and the lines themselves for whoever wants to read. Not thread-safe.</summary>
internal sealed class Trace(TextWriter? printed)
{
    private ulong _hash = 14695981039346656037;

    /// <summary>Equal for two runs in which the same happened.</summary>
    public ulong Hash => _hash;

    /// <summary>Notes an event: virtual time since the beginning, who, what, and two figures.</summary>
    public void Note(long atMs, string side, string what, long first = 0, long second = 0)
    {
        Mix((ulong)atMs);
        Mix(side);
        Mix(what);
        Mix((ulong)first);
        Mix((ulong)second);
        printed?.WriteLine(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{atMs / 1000.0,12:0.000} s  {side,-10} {what,-34} {first} {second}"));
    }

    private void Mix(string text)
    {
        foreach (char c in text)
            Mix(c);
    }

    private void Mix(ulong value) => _hash = (_hash ^ value) * 1099511628211;
}

/// <summary>The promise is broken.</summary>
internal sealed class ViolationException : Exception
{
    /// <summary>Makes one that says how.</summary>
    public ViolationException(string message) : base(message)
    {
    }
}
