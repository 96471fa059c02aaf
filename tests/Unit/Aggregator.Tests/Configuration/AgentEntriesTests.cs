using Bellwether.Aggregator.Configuration;
using Bellwether.Core.Configuration;

namespace Bellwether.Aggregator.Tests.Configuration;

/// <summary>What the check of the agents' entries and of certificates finds.</summary>
public sealed class AgentEntriesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("bellwether-agents").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    /// <summary>A start does not wait for a check: it must find the same.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Twins_and_empty_tokens_are_found_where_they_stand(bool isCheck)
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
            """, isCheck);
        string[] errors = [.. result.Errors.Select(e => e.ToString())];
        Assert.Equal(3, errors.Length);
        Assert.Contains(errors, e => e.Contains(":4:", StringComparison.Ordinal) && e.Contains("'a' stands in entry 1 already", StringComparison.Ordinal));
        Assert.Contains(errors, e => e.Contains(":5:", StringComparison.Ordinal) && e.Contains("is the token of entry 1 ('a')", StringComparison.Ordinal));
        Assert.Contains(errors, e => e.Contains(":7:", StringComparison.Ordinal) && e.Contains("empty.token is empty", StringComparison.Ordinal));
    }

    [Fact]
    public void Agents_of_one_certificate_are_found_where_they_stand()
    {
        ConfigResult<AggregatorConfig> result = AggregatorConfigFile.Parse("""
            listen:
              grpc:
                address: 127.0.0.1:0
                tls: {cert_file: s.crt, key_file: s.key, client_ca_file: ca.crt}
            agents:
              - id: a
                certificate_sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
              - id: b
                certificate_name: shop
              - id: c
                certificate_sha256: 2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824
              - id: d
                certificate_name: shop
            """, "aggregator.yaml");
        Assert.Equal(
            [
                "aggregator.yaml:11:25: agents[2].certificate_sha256: is the certificate of entry 1 ('a') already; each agent needs its own",
                "aggregator.yaml:13:23: agents[3].certificate_name: is the certificate name of entry 2 ('b') already; each agent needs its own",
            ],
            result.Errors.Select(e => e.ToString()));
    }

    [Fact]
    public void A_bundle_key_of_any_agent_is_refused()
    {
        ConfigResult<AggregatorConfig> result = AggregatorConfigFile.Parse("""
            agents:
              - id: "*"
                token_sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
                bundle_key_file: a.pub
            """, "aggregator.yaml");
        Assert.Equal(["aggregator.yaml:4:22: agents[0].bundle_key_file: is the key of one agent, and '*' is any; give that agent an entry of its own"], result.Errors.Select(e => e.ToString()));
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

    private ConfigResult<AggregatorConfig> Check(string yaml, bool checkFiles = true)
    {
        string file = Path.Combine(_folder, "aggregator.yaml");
        File.WriteAllText(file, yaml);
        return AggregatorConfigFile.Load(file, checkFiles);
    }
}
