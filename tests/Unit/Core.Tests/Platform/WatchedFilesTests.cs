using System.Security.Cryptography;
using Bellwether.Core.Platform;
using Bellwether.Kit;

namespace Bellwether.Core.Tests.Platform;

/// <summary>Files that are replaced while the program runs.</summary>
public sealed class WatchedFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-watched").FullName;
    private readonly VirtualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly List<string?> _told = [];

    public void Dispose() => Directory.Delete(_folder, true);

    [Fact]
    public void A_changed_file_is_read_again_and_a_wrong_one_leaves_the_old_value()
    {
        string file = Path.Combine(_folder, "f");
        File.WriteAllText(file, "one");
        int reads = 0;
        var watched = new WatchedFiles<string>([file, ""], Read, _time, (_, error) => _told.Add(error));
        Assert.Equal("one", watched.Current);
        File.WriteAllText(file, "three");
        Assert.Equal("one", watched.Current);
        _time.Advance(WatchedFiles<string>.LookInterval);
        Assert.Equal("three", watched.Current);
        File.WriteAllText(file, "bad");
        _time.Advance(WatchedFiles<string>.LookInterval);
        Assert.Equal("three", watched.Current);
        _time.Advance(WatchedFiles<string>.LookInterval);
        Assert.Equal("three", watched.Current);
        File.WriteAllText(file, "better");
        _time.Advance(WatchedFiles<string>.LookInterval);
        Assert.Equal("better", watched.Current);
        Assert.Equal([null, "bad file", null], _told);
        Assert.Equal(4, reads);

        string Read()
        {
            reads++;
            string text = File.ReadAllText(file);
            return text == "bad" ? throw new CryptographicException("bad file") : text;
        }
    }
}
