using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Kit;

namespace Bellwether.EndToEnd;

/// <summary>Who is let in over TLS, and who is not: a line on either side says why.</summary>
public sealed class TlsTests
{
    [Fact]
    public async Task Agents_are_let_in_over_tls_by_a_token_by_a_certificates_name_and_by_its_hash()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 hashed = certificates.Issue("whatever");
        await using CountingTarget target = await CountingTarget.StartAsync(1);
        await using var site = new Site();
        ConfigureAggregator(site, certificates, $"""
              - id: by-token
                token_file: agent.token
              - id: by-name
                certificate_name: by-name
              - id: by-hash
                certificate_sha256: {Convert.ToHexStringLower(SHA256.HashData(hashed.RawData))}
            """);
        using (X509Certificate2 named = certificates.Issue("by-name"))
            WriteCertificate(site, "named", named);
        WriteCertificate(site, "hashed", hashed);
        (string Id, string Proof)[] agents =
        [
            ("by-token", "token_file: agent.token\n    tls: {ca_file: ca.pem, server_name: localhost}"),
            ("by-name", "tls: {ca_file: ca.pem, cert_file: named.pem, key_file: named.key}"),
            ("by-hash", "tls: {ca_file: ca.pem, cert_file: hashed.pem, key_file: hashed.key}"),
        ];
        await site.StartAggregatorAsync();
        foreach ((string id, string proof) in agents)
            StartAgent(site, id, proof, target);
        await site.WaitForAsync("samples of all agents", async () => (await site.Api.QueryAsync("count by (job) (ledger_value)")).Length == agents.Length);
    }

    [Fact]
    public async Task A_wrong_token_a_certificate_of_another_and_a_wrong_authority_are_refused_with_a_line_that_says_why()
    {
        using var certificates = new TestCertificates();
        using var strangers = new TestCertificates();
        await using CountingTarget target = await CountingTarget.StartAsync(1);
        await using var site = new Site();
        ConfigureAggregator(site, certificates, """
              - id: wrong-token
                token_file: agent.token
              - id: another
                certificate_name: another
              - id: good
                token_file: good.token
            """);
        site.Write("wrong.token", "0000000000000000\n");
        site.Write("good.token", "e3b0c44298fc1c14\n");
        site.Write("strangers.pem", strangers.Roots[0].ExportCertificatePem());
        using (X509Certificate2 another = certificates.Issue("another"))
            WriteCertificate(site, "another", another);
        using (X509Certificate2 strange = strangers.Issue("another"))
            WriteCertificate(site, "strange", strange);
        await site.StartAggregatorAsync();
        Running token = StartAgent(site, "wrong-token", "token_file: wrong.token\n    tls: {ca_file: ca.pem}", target);
        Running identity = StartAgent(site, "impostor", "tls: {ca_file: ca.pem, cert_file: another.pem, key_file: another.key}", target);
        Running stranger = StartAgent(site, "another", "tls: {ca_file: ca.pem, cert_file: strange.pem, key_file: strange.key}", target);
        Running distrust = StartAgent(site, "distrust", "token_file: good.token\n    tls: {ca_file: strangers.pem}", target);
        StartAgent(site, "good", "token_file: good.token\n    tls: {ca_file: ca.pem}", target);
        Running aggregator = site.Aggregator!;
        await SaysAsync(token, "the bearer token is not known", token, aggregator);
        await SaysAsync(aggregator, "the bearer token is not known", token, aggregator);
        await SaysAsync(identity, "the credential belongs to agent 'another'", identity, aggregator);
        await SaysAsync(aggregator, "the credential belongs to agent 'another'", identity, aggregator);
        await SaysAsync(distrust, "no trusted authority has signed it", distrust, aggregator);
        await SaysAsync(stranger, "strange.pem: subject 'CN=another', issuer 'CN=Test authority', valid from ", stranger, aggregator);
        await SaysAsync(aggregator, "no authority of client_ca_file has signed its certificate (subject 'CN=another', serial ", stranger, aggregator);
        await site.WaitForAsync("samples of the good agent", async () => await site.Api.ValueAsync("count(ledger_value{job=\"good\"})") == 1);
        Assert.Null(await site.Api.ValueAsync("count({job!~\"good|bellwether.*\",__name__=\"ledger_value\"})"));
    }

    private static Task SaysAsync(Running program, string what, params Running[] running) =>
        Wait.ForAsync($"'{what}'", () => Task.FromResult(program.Output.Contains(what, StringComparison.Ordinal)), Site.Limit, running);

    private static void ConfigureAggregator(Site site, TestCertificates certificates, string agents)
    {
        site.Write("ca.pem", certificates.Roots[0].ExportCertificatePem());
        WriteCertificate(site, "server", certificates.Server);
        site.Write("aggregator.yaml", $$"""
            listen:
              grpc:
                address: {{site.Grpc}}
                tls: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem}
              http:
                address: {{site.Http}}
            data_dir: store
            agents:
            {{agents}}
            """ + "\n");
    }

    private static Running StartAgent(Site site, string id, string proof, CountingTarget target)
    {
        site.Write($"{id}.yaml", $"""
            agent:
              id: {id}
            aggregators:
              - address: {site.Grpc}
                {proof.ReplaceLineEndings("\n")}
            spool:
              path: spool-{id}
            status:
              socket: ""
            {Ledger.Scraping(target, id)}
            """ + "\n");
        return site.StartAgent($"{id}.yaml");
    }

    private static void WriteCertificate(Site site, string name, X509Certificate2 certificate)
    {
        using ECDsa key = certificate.GetECDsaPrivateKey()!;
        site.Write(name + ".pem", certificate.ExportCertificatePem());
        site.Write(name + ".key", key.ExportPkcs8PrivateKeyPem());
    }
}
