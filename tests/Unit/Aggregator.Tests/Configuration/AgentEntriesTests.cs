using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;

namespace Bellwether.Aggregator.Tests.Configuration;

/// <summary>What the check of the agents' entries and of certificates finds.</summary>
public sealed class AgentEntriesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-agents").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    [Fact]
    public void Twins_and_empty_tokens_are_found_where_they_stand()
    {
        File.WriteAllText(Path.Combine(_folder, "a.token"), "hello\n");
        File.WriteAllText(Path.Combine(_folder, "empty.token"), " \n");
        ConfigResult<AggregatorConfig> result = Check("""
            agents:
              - id: a
                token_file: a.token
              - id: a
                token_sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
              - id: b
                token_file: empty.token
            """);
        string[] errors = [.. result.Errors.Select(e => e.ToString())];
        Assert.Equal(3, errors.Length);
        Assert.Contains(errors, e => e.Contains(":4:", StringComparison.Ordinal) && e.Contains("'a' stands in entry 1 already", StringComparison.Ordinal));
        Assert.Contains(errors, e => e.Contains(":5:", StringComparison.Ordinal) && e.Contains("is the token of entry 1 ('a')", StringComparison.Ordinal));
        Assert.Contains(errors, e => e.Contains(":7:", StringComparison.Ordinal) && e.Contains("empty.token is empty", StringComparison.Ordinal));
    }

    [Fact]
    public void Certificates_that_cannot_be_used_are_found()
    {
        foreach (string name in (string[])["s.crt", "s.key", "ca.crt"])
            File.WriteAllText(Path.Combine(_folder, name), "no PEM");
        ConfigResult<AggregatorConfig> result = Check("""
            listen:
              grpc:
                address: 127.0.0.1:0
                tls: {cert_file: s.crt, key_file: s.key, client_ca_file: ca.crt}
            """);
        Assert.Equal(2, result.Errors.Count);
        Assert.All(result.Errors, e => Assert.Contains("cannot be used", e.ToString(), StringComparison.Ordinal));
    }

    private ConfigResult<AggregatorConfig> Check(string yaml)
    {
        string file = Path.Combine(_folder, "aggregator.yaml");
        File.WriteAllText(file, yaml);
        return AggregatorConfigFile.Load(file, checkFiles: true);
    }
}
