using System.Globalization;

namespace Bellwether.Mutants;

/// <summary>scripts/mutants.</summary>
internal static class Program
{
    private const string Usage = """
        Plants faults in a copy of the tree, one at a time, and checks that each is found (docs/simulation.md). The last line is 'N/N caught'.
        scripts/mutants [--only NAME]... [--list] [--folder DIR]
          --only NAME   this one only; may be given more than once
          --list        says what there is, and who is to find it
          --folder DIR  where the copy is; it stays there, and the next run builds only what has changed. Without it a temporary one is made and removed
        """;

    private static int Main(string[] arguments)
    {
        var only = new List<string>();
        string? folder = null;
        for (int i = 0; i < arguments.Length; i++)
        {
            switch (arguments[i])
            {
                case "--only" when i + 1 < arguments.Length:
                    only.Add(arguments[++i]);
                    break;
                case "--folder" when i + 1 < arguments.Length:
                    folder = Path.GetFullPath(arguments[++i]);
                    break;
                case "--list":
                    foreach (Mutant mutant in MutantList.All)
                        Console.WriteLine($"{mutant.Name,-40} {mutant.Changes}: {mutant.Catcher}");
                    return 0;
                case "--help" or "-h":
                    Console.WriteLine(Usage);
                    return 0;
                default:
                    Console.Error.WriteLine($"scripts/mutants: '{arguments[i]}' is unknown or lacks its value\n{Usage}");
                    return 2;
            }
        }
        foreach (string name in only.Where(n => MutantList.All.All(m => m.Name != n)))
        {
            Console.Error.WriteLine($"scripts/mutants: there is no '{name}'; --list says what there is");
            return 2;
        }
        return CheckAll([.. MutantList.All.Where(m => only.Count == 0 || only.Contains(m.Name))], folder);
    }

    private static int CheckAll(IReadOnlyList<Mutant> mutants, string? folder)
    {
        TimeProvider time = TimeProvider.System;
        long started = time.GetTimestamp();
        string copy = folder ?? Directory.CreateTempSubdirectory("bellwether-mutants-").FullName;
        try
        {
            var tree = new Tree(Environment.CurrentDirectory, copy);
            tree.Copy();
            var check = new MutationCheck(tree, Console.Out);
            if (!check.PassesWithoutFault(mutants))
                return 1;
            // By project: what is built for one need not be built for the next.
            List<Mutant> missed = [.. mutants.OrderBy(m => m.Catcher.Project, StringComparer.Ordinal).Where(m => !check.IsCaught(m))];
            if (missed.Count > 0)
                Console.WriteLine("not caught: " + string.Join(", ", missed.Select(m => m.Name)));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"in {time.GetElapsedTime(started).TotalMinutes:0.0} min"));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{mutants.Count - missed.Count}/{mutants.Count} caught"));
            return missed.Count == 0 ? 0 : 1;
        }
        finally
        {
            if (folder is null)
                Directory.Delete(copy, recursive: true);
        }
    }
}
