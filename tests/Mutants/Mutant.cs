namespace Bellwether.Mutants;

/// <summary>A fault to plant: one text of one file, which stands there exactly once, in place of which another one is put.</summary>
/// <param name="Name">What it is called with <c>--only</c>.</param>
/// <param name="Changes">What is wrong then, in words.</param>
/// <param name="File">The file, from the root of the repository.</param>
/// <param name="Text">What stands there.</param>
/// <param name="Replacement">What is put in its place.</param>
/// <param name="Catcher">Who must find it.</param>
internal sealed record Mutant(string Name, string Changes, string File, string Text, string Replacement, Catcher Catcher)
{
    /// <summary>How often the text stands in the file's content; it can be planted when that is once.</summary>
    public int CountIn(string content)
    {
        int count = 0;
        for (int at = content.IndexOf(Text, StringComparison.Ordinal); at >= 0; at = content.IndexOf(Text, at + 1, StringComparison.Ordinal))
            count++;
        return count;
    }
}

/// <summary>What is run to find a fault.</summary>
/// <param name="Project">The project that is built for it.</param>
/// <param name="Assembly">What that build gives.</param>
/// <param name="Arguments">Arguments of the simulation; the filter of a test.</param>
internal sealed record Catcher(string Project, string Assembly, string Arguments)
{
    private const string SimulationProject = "tests/Simulation/Simulation.csproj";

    /// <summary>Whether it is the simulation, and not a test.</summary>
    public bool IsSimulation => Project == SimulationProject;

    /// <summary>The simulation over its first seeds, until one fails.</summary>
    public static Catcher Simulation(int seeds = 60) =>
        new(SimulationProject, Output("tests/Simulation", "Bellwether.Simulation"), string.Create(System.Globalization.CultureInfo.InvariantCulture, $"--seeds {seeds} --quick"));

    /// <summary>One test of tests/Unit, as 'Class.Name'.</summary>
    public static Catcher Test(string part, string test) =>
        new($"tests/Unit/{part}.Tests/{part}.Tests.csproj", Output($"tests/Unit/{part}.Tests", $"Bellwether.{part}.Tests"), test);

    public override string ToString() => IsSimulation ? "scripts/simulate " + Arguments : Arguments;

    private static string Output(string folder, string name) => $"{folder}/bin/Release/net10.0/{name}.dll";
}
