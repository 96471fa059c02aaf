using System.Diagnostics;
using System.Xml.Linq;

namespace Bellwether.Mutants;

/// <summary>A copy of the repository in a folder of its own, in which files are changed and put back. The repository itself is never written. Not thread-safe.</summary>
internal sealed class Tree(string root, string folder)
{
    private string? _there;
    private byte[] _sound = [];
    private string _original = "";

    /// <summary>Where the copy is.</summary>
    public string Folder => folder;

    /// <summary>Copies what git knows of, where it differs: what was built from the rest need not be built again.</summary>
    public void Copy()
    {
        foreach (string file in FilesOf(root))
        {
            string from = Path.Combine(root, file), to = Path.Combine(folder, file);
            if (File.Exists(to) && File.ReadAllBytes(from).AsSpan().SequenceEqual(File.ReadAllBytes(to)))
                continue;
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(from, to, overwrite: true);
            File.SetLastWriteTimeUtc(to, TimeProvider.System.GetUtcNow().UtcDateTime);
        }
    }

    /// <summary>Plants a fault. Not null: why it cannot be planted.</summary>
    public string? Plant(Mutant mutant)
    {
        string path = Path.Combine(folder, mutant.File);
        if (!File.Exists(path))
            return $"there is no file {mutant.File}";
        string content = File.ReadAllText(path);
        int count = mutant.CountIn(content);
        if (count != 1)
            return $"its text stands {count} times in {mutant.File} and must stand there once: bring tests/Mutants/MutantList.cs up to date";
        _original = content;
        File.WriteAllText(path, content.Replace(mutant.Text, mutant.Replacement, StringComparison.Ordinal));
        return null;
    }

    /// <summary>The project that a fault is planted in, and the assembly that it gives.</summary>
    public (string Project, string Assembly) ProjectOf(Mutant mutant)
    {
        for (string? at = Path.GetDirectoryName(Path.Combine(folder, mutant.File)); at is not null && at.Length >= folder.Length; at = Path.GetDirectoryName(at))
        {
            if (Directory.GetFiles(at, "*.csproj") is not [string project])
                continue;
            string? name = XDocument.Load(project).Descendants("AssemblyName").FirstOrDefault()?.Value;
            return (project, Path.Combine(at, "bin", "Release", "net10.0", (name ?? Path.GetFileNameWithoutExtension(project)) + ".dll"));
        }
        throw new InvalidOperationException($"{mutant.File} is in no project");
    }

    /// <summary>Puts the assembly with the fault in the place of the one that the catcher runs with; <see cref="Restore"/> puts that back.</summary>
    public void Exchange(Mutant mutant, string assembly)
    {
        _there = Path.Combine(folder, Path.GetDirectoryName(mutant.Catcher.Assembly)!, Path.GetFileName(assembly));
        _sound = File.ReadAllBytes(_there);
        File.Copy(assembly, _there, overwrite: true);
    }

    /// <summary>Puts everything back; the file gets a new time, so that it is built again.</summary>
    public void Restore(Mutant mutant)
    {
        File.WriteAllText(Path.Combine(folder, mutant.File), _original);
        if (_there is not null)
            File.WriteAllBytes(_there, _sound);
        _there = null;
    }

    private static List<string> FilesOf(string root)
    {
        var start = new ProcessStartInfo("git", ["ls-files", "--cached", "--others", "--exclude-standard"]) { WorkingDirectory = root, RedirectStandardOutput = true };
        using Process git = Process.Start(start)!;
        var files = new List<string>();
        while (git.StandardOutput.ReadLine() is { } file)
        {
            if (File.Exists(Path.Combine(root, file)))
                files.Add(file);
        }
        git.WaitForExit();
        return git.ExitCode == 0 ? files : throw new InvalidOperationException("git ls-files failed: the tree is copied from a checkout");
    }
}
