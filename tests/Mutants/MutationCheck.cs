using System.Globalization;
using System.Text.RegularExpressions;

namespace Bellwether.Mutants;

/// <summary>Plants one fault after the other and looks whether it is found. Without a fault everything must pass first: who always fails finds nothing.</summary>
internal sealed partial class MutationCheck(Tree tree, TextWriter output)
{
    private const int LineMax = 200;
    private static readonly TimeSpan s_buildMax = TimeSpan.FromMinutes(20);
    private static readonly TimeSpan s_catchMax = TimeSpan.FromMinutes(10);

    // The sources are checked where they belong; here only what they do counts, and a fault may leave a name unused.
    private static readonly string[] s_buildOptions =
        ["-c", "Release", "-v", "q", "--nologo", "-p:RunAnalyzers=false", "-p:EnforceCodeStyleInBuild=false", "-p:GenerateDocumentationFile=false", "-p:TreatWarningsAsErrors=false"];

    /// <summary>Builds what is needed and lets all catchers run without a fault. False: something fails by itself.</summary>
    public bool PassesWithoutFault(IReadOnlyList<Mutant> mutants)
    {
        foreach (string project in mutants.Select(m => m.Catcher.Project).Distinct())
        {
            ToolEnd built = Tool.Run(tree.Folder, s_buildMax, ["build", project, .. s_buildOptions]);
            Tell($"built {project} in {built.Seconds:0} s");
            if (built.Code != 0)
                return Fails($"{project} does not build:\n{built.Text}");
        }
        foreach (IGrouping<string, Catcher> group in mutants.Select(m => m.Catcher).Distinct().GroupBy(c => c.Assembly))
        {
            Catcher all = group.First().IsSimulation
                ? group.MaxBy(c => c.Arguments.Length)!
                : group.First() with { Arguments = string.Join('|', group.Select(c => "FullyQualifiedName~" + c.Arguments)) };
            ToolEnd ran = Run(all, all.Arguments);
            if (ran.Code != 0 || (!all.IsSimulation && PassedTests(ran.Text) < group.Count()))
                return Fails($"without any fault {(all.IsSimulation ? all : all.Project)} fails, or not all of its tests are there:\n{ran.Text}");
            Tell($"without a fault {(all.IsSimulation ? all : $"{PassedTests(ran.Text)} tests of {all.Project}")} pass in {ran.Seconds:0} s");
        }
        return true;
    }

    /// <summary>Whether a fault is found.</summary>
    public bool IsCaught(Mutant mutant)
    {
        Tell($"{mutant.Name}: {mutant.Changes} ({mutant.File})");
        if (tree.Plant(mutant) is { } reason)
            return Fails("    ERROR: " + reason);
        try
        {
            // Inside of a method nothing changes for whoever builds on it: its project alone is built, and put where the catcher has it.
            (string project, string assembly) = tree.ProjectOf(mutant);
            ToolEnd built = Tool.Run(tree.Folder, s_buildMax, ["build", project, "--no-restore", "-p:BuildProjectReferences=false", .. s_buildOptions]);
            if (built.Code != 0)
                return Fails("    ERROR: it does not build, which finds nothing: " + Short(ErrorLine().Match(built.Text).Value));
            tree.Exchange(mutant, assembly);
            ToolEnd ran = Run(mutant.Catcher, "FullyQualifiedName~" + mutant.Catcher.Arguments);
            string? found = ran.IsLate ? "it did not come to an end" : mutant.Catcher.IsSimulation ? SeedThatFails(ran) : TestThatFails(ran);
            if (found is null)
                return Fails(ran.Code == 0 ? $"    NOT CAUGHT by {mutant.Catcher} in {ran.Seconds:0} s" : "    ERROR: the run failed, but told no failure:\n" + ran.Text);
            Tell($"    caught in {ran.Seconds:0.0} s (built in {built.Seconds:0} s) by {found}");
            return true;
        }
        finally
        {
            tree.Restore(mutant);
        }
    }

    private ToolEnd Run(Catcher catcher, string filter) => catcher.IsSimulation
        ? Tool.Run(tree.Folder, s_catchMax, [catcher.Assembly, .. catcher.Arguments.Split(' ')])
        : Tool.Run(tree.Folder, s_catchMax, "test", catcher.Assembly, "--nologo", "--filter", filter);

    private static string? SeedThatFails(ToolEnd ran) => FailedSeed().Match(ran.Text) is { Success: true } seed && ran.Code == 1 ? "the simulation, " + Short(seed.Value) : null;

    // A process that dies under the test is found as well.
    private static string? TestThatFails(ToolEnd ran) =>
        ran.Code == 0 ? null : FailedTest().Match(ran.Text) is { Success: true } test ? test.Groups[1].Value : ran.Text.Contains("Test Run Aborted", StringComparison.Ordinal) ? "the end of the test's process" : null;

    private static int PassedTests(string text) => int.TryParse(Passed().Match(text).Groups[1].ValueSpan, CultureInfo.InvariantCulture, out int passed) ? passed : 0;

    private static string Short(string text) => text.Length <= LineMax ? text.TrimEnd() : text[..LineMax] + "...";

    private bool Fails(string text)
    {
        output.WriteLine(text);
        return false;
    }

    private void Tell(FormattableString text) => output.WriteLine(text.ToString(CultureInfo.InvariantCulture));

    [GeneratedRegex(@"^seed \d+: .*$", RegexOptions.Multiline)]
    private static partial Regex FailedSeed();

    [GeneratedRegex(@"^\s*(?:Failed|\[FAIL\]) (?:Bellwether\.)?([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex FailedTest();

    [GeneratedRegex(@"Passed:\s+(\d+)")]
    private static partial Regex Passed();

    [GeneratedRegex(@"error [A-Z]+\d+: .*")]
    private static partial Regex ErrorLine();
}
