namespace Bellwether.Core.Bundles;

/// <summary>The command <c>bundle keygen</c> of both programs.</summary>
public static class BundleKeyMaker
{
    /// <summary>Writes NAME.key (mode 0600) and NAME.pub; replaces nothing. Gives the exit code.</summary>
    public static int Make(string name, TextWriter output, TextWriter errors)
    {
        (string own, string open) = BundleKeys.Generate();
        try
        {
            Write(name + ".key", own, OperatingSystem.IsWindows() ? null : UnixFileMode.UserRead | UnixFileMode.UserWrite);
            Write(name + ".pub", open, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            errors.WriteLine(e.Message);
            return 1;
        }
        output.WriteLine($"{name}.key: keep it here; {name}.pub: give it to the other side");
        return 0;
    }

    private static void Write(string path, string text, UnixFileMode? mode)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (mode is { } bits && !OperatingSystem.IsWindows())
            options.UnixCreateMode = bits;
        using var writer = new StreamWriter(path, options);
        writer.Write(text);
    }
}
