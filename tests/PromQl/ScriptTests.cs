using Bellwether.Kit.PromQl;

namespace Bellwether.PromQl.Tests;

/// <summary>Runs every script of the Scripts folder; adding a case needs no C#.</summary>
public sealed class ScriptTests
{
    public static TheoryData<string> Scripts()
    {
        var data = new TheoryData<string>();
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Scripts"), "*.test").Order(StringComparer.Ordinal))
            data.Add(Path.GetFileName(file));
        return data;
    }

    [Theory]
    [MemberData(nameof(Scripts))]
    public void Every_eval_of_the_script_gives_what_it_expects(string script)
    {
        IReadOnlyList<EvalOutcome> outcomes = TestScript.Run(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Scripts", script)), TimeProvider.System);
        Assert.NotEmpty(outcomes);
        string[] failures = [.. outcomes.Where(o => o.Failure is not null).Select(o => $"{script}:{o.Line}: {o.Text}: {o.Failure}")];
        Assert.True(failures.Length == 0, string.Join('\n', failures));
    }
}
