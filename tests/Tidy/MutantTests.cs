using Bellwether.Mutants;

namespace Bellwether.Tidy;

/// <summary>The list of scripts/mutants does not rot: what it changes is there, and so is who finds it.</summary>
public sealed class MutantTests
{
    private const int AtLeast = 20;

    [Fact]
    public void Every_fault_can_be_planted()
    {
        Assert.True(MutantList.All.Count >= AtLeast);
        Assert.Equal(MutantList.All.Count, MutantList.All.Select(m => m.Name).Distinct().Count());
        Assert.Empty(MutantList.All.Where(m => m.Text == m.Replacement || m.CountIn(Repository.Read(m.File)) != 1).Select(m => $"{m.Name}: its text must stand once in {m.File}"));
    }

    [Fact]
    public void Every_fault_names_a_test_that_is_there()
    {
        string[] tests = [.. Repository.With(".cs").Where(f => f.StartsWith("tests/Unit/", StringComparison.Ordinal)).Select(Repository.Read)];
        foreach (Mutant mutant in MutantList.All.Where(m => !m.Catcher.IsSimulation))
        {
            string[] name = mutant.Catcher.Arguments.Split('.');
            Assert.True(tests.Any(t => t.Contains($"class {name[0]}", StringComparison.Ordinal) && t.Contains($" {name[1]}(", StringComparison.Ordinal)), $"{mutant.Name}: there is no test {mutant.Catcher}");
        }
    }
}
