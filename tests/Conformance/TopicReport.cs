namespace Bellwether.Conformance;

/// <summary>Counts what passed and prints each failure as it comes.</summary>
internal sealed class TopicReport(TextWriter output, int failuresShownMax)
{
    /// <summary>Cases that passed.</summary>
    public int Passed { get; private set; }

    /// <summary>Cases that failed.</summary>
    public int Failed { get; private set; }

    /// <summary>Counts a case that passed.</summary>
    public void Pass() => Passed++;

    /// <summary>Counts and prints a case that failed.</summary>
    /// <param name="file">File, relative to the conformance folder.</param>
    /// <param name="line">1-based line, or 0 when a case has none.</param>
    /// <param name="what">The case in words.</param>
    /// <param name="expected">What should have come.</param>
    /// <param name="got">What came.</param>
    public void Fail(string file, int line, string what, string expected, string got)
    {
        Failed++;
        if (Failed > failuresShownMax)
            return;
        output.WriteLine(line > 0 ? $"FAIL {file}:{line}: {what}" : $"FAIL {file}: {what}");
        output.WriteLine($"  expected: {expected}");
        output.WriteLine($"  got:      {got}");
        if (Failed == failuresShownMax)
            output.WriteLine("  (further failures of this topic are counted, not shown: --failures N shows more)");
    }

    /// <summary>Prints a remark that is no case: what is left out, and why.</summary>
    public void Note(string text) => output.WriteLine($"note: {text}");

    /// <summary>Runs one case: an exception is its failure.</summary>
    public void Case(string file, int line, string what, Action body)
    {
        try
        {
            body();
        }
        catch (Exception e)
        {
            Fail(file, line, what, "no exception", e.ToString());
        }
    }
}
