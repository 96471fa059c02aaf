using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Bellwether.Agent.Stream;
using Bellwether.Core.Grpc.Server;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Agent.Tests.Stream;

/// <summary>The client with the aggregator's service over real loopback connections.</summary>
public sealed class StreamClientTests : IDisposable
{
    private readonly Meter _meter = new("test");
    private readonly ListSpool _spool = new(new Random(1));
    private readonly ListStore _store = new();
    private readonly SetWatermark _watermark = new();
    private readonly AgentFleet _fleet;
    private readonly IngestOptions _options = new() { WatermarkInterval = TimeSpan.FromMilliseconds(20) };

    public StreamClientTests() => _fleet = new AgentFleet(_options, TimeProvider.System, _meter);

    public void Dispose() => _meter.Dispose();

    [Fact]
    public async Task Records_go_over_plain_loopback_and_are_freed_when_acknowledged()
    {
        await using GrpcTestHost host = await HostAsync();
        StreamClient client = Client(Address(host));
        using var stop = new CancellationTokenSource();
        _spool.Append([1, 2, 3]);
        Task running = client.RunAsync(stop.Token);
        for (byte i = 0; i < 100; i++)
        {
            _spool.Append([i, i, i]);
            client.RecordsAppended();
        }
        await Until.HoldsAsync(() => _spool.Records == 0);
        AgentState agent = Assert.Single(_fleet.Agents());
        Assert.True(agent.Connected);
        Assert.Equal("site-1", agent.Labels["site"]);
        Assert.InRange(Math.Abs(agent.ClockOffsetMs), 0, 5_000);
        await StopAsync(stop, running);
        await Until.HoldsAsync(() => !_fleet.Agents()[0].Connected);
        Assert.True(_fleet.Agents()[0].SaidGoodbye);
        AssertAllThere();
        Assert.Equal(1, client.Statistics.Sessions);
        Assert.Equal(0, client.Statistics.Failures);
    }

    [Fact]
    public void A_fleet_that_waits_its_longest_is_spread_over_the_upper_half_of_the_bound()
    {
        var options = new StreamOptions { Aggregators = [], BackoffMin = TimeSpan.FromSeconds(0.5), BackoffMax = TimeSpan.FromSeconds(1.5) };
        Assert.Equal(TimeSpan.FromSeconds(0.25), StreamClient.WaitOf(0, options, 0));
        Assert.Equal(TimeSpan.FromSeconds(0.75), StreamClient.WaitOf(1, options, 0.5));
        foreach (int failure in (int[])[2, 40, int.MaxValue])
        {
            Assert.Equal(TimeSpan.FromSeconds(0.75), StreamClient.WaitOf(failure, options, 0));
            Assert.Equal(TimeSpan.FromSeconds(1.125), StreamClient.WaitOf(failure, options, 0.5));
            Assert.Equal(TimeSpan.FromSeconds(1.5), StreamClient.WaitOf(failure, options, 1));
        }
    }

    [Fact]
    public async Task Tls_with_a_ca_file_and_a_token_lets_the_agent_in()
    {
        using var certificates = new TestCertificates();
        await using GrpcTestHost host = await HostAsync(certificates.Server, Token("agent-1", "secret"));
        StreamClient client = Client(Address(host) with { TrustedRoots = certificates.Roots, Token = "secret" });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        _spool.Append([9]);
        client.RecordsAppended();
        await Until.HoldsAsync(() => _spool.Records == 0);
        await StopAsync(stop, running);
        AssertAllThere();
    }

    [Fact]
    public async Task A_client_certificate_alone_lets_the_agent_in()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 own = certificates.Issue("agent-1");
        var credential = new AgentCredential { AgentId = "agent-1", CertificateSha256 = Convert.ToHexString(SHA256.HashData(own.RawData)) };
        await using GrpcTestHost host = await HostAsync(certificates.Server, credential, clientCertificates: true);
        StreamClient client = Client(Address(host) with { TrustedRoots = certificates.Roots, ClientCertificate = own });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        _spool.Append([9]);
        client.RecordsAppended();
        await Until.HoldsAsync(() => _spool.Records == 0);
        await StopAsync(stop, running);
    }

    [Fact]
    public async Task A_client_certificate_that_is_not_known_is_refused_by_its_subject_and_serial()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 known = certificates.Issue("agent-1");
        using X509Certificate2 shown = certificates.Issue("agent-7");
        var credential = new AgentCredential { AgentId = "agent-1", CertificateSha256 = Convert.ToHexString(SHA256.HashData(known.RawData)) };
        await using GrpcTestHost host = await HostAsync(certificates.Server, credential, clientCertificates: true);
        StreamClient client = Client(Address(host) with { TrustedRoots = certificates.Roots, ClientCertificate = shown });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.LastError.Contains("Unauthenticated", StringComparison.Ordinal));
        await StopAsync(stop, running);
        Assert.Contains($"the client certificate (subject 'CN=agent-7', serial {shown.SerialNumber}, SHA-256 {Convert.ToHexStringLower(SHA256.HashData(shown.RawData))}) is not known", client.Statistics.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_certificate_that_is_refused_within_the_handshake_is_named_with_its_file_issuer_and_validity()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 shown = certificates.Issue("agent-7");
        await using GrpcTestHost host = await HostAsync(certificates.Server, Token("agent-1", "secret"), clientCertificates: true, takes: _ => false);
        StreamClient client = Client(Address(host) with { TrustedRoots = certificates.Roots, ClientCertificate = shown, ClientCertificateFile = "agent.pem" });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Failures >= 1);
        await StopAsync(stop, running);
        Assert.Contains("it may have refused the client certificate of agent.pem: subject 'CN=agent-7', issuer 'CN=Test authority', valid from ", client.Statistics.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connection_that_ends_later_is_not_blamed_on_the_client_certificate()
    {
        using var certificates = new TestCertificates();
        using X509Certificate2 own = certificates.Issue("agent-1");
        var credential = new AgentCredential { AgentId = "agent-1", CertificateSha256 = Convert.ToHexString(SHA256.HashData(own.RawData)) };
        var first = new TaskCompletionSource<IConnectionLifetimeFeature>();
        await using GrpcTestHost host = await HostAsync(certificates.Server, credential, clientCertificates: true, before: http =>
        {
            first.TrySetResult(http.Features.Get<IConnectionLifetimeFeature>()!);
            return Task.FromResult(false);
        });
        StreamClient client = Client(Address(host) with { TrustedRoots = certificates.Roots, ClientCertificate = own, ClientCertificateFile = "agent.pem" });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        // What the server said before it ends the connection can be lost with it: the end comes when the agent has surely heard something.
        await Until.HoldsAsync(() => client.Statistics.Sessions >= 1);
        (await first.Task).Abort();
        await Until.HoldsAsync(() => client.Statistics.Failures >= 1);
        await StopAsync(stop, running);
        Assert.NotEqual("", client.Statistics.LastError);
        Assert.DoesNotContain("certificate", client.Statistics.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_token_keeps_the_records_in_the_spool_and_says_why()
    {
        await using GrpcTestHost host = await HostAsync(credential: Token("agent-1", "secret"));
        StreamClient client = Client(Address(host) with { Token = "wrong" });
        using var stop = new CancellationTokenSource();
        _spool.Append([9]);
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Failures >= 2);
        await StopAsync(stop, running);
        Assert.Contains("Unauthenticated", client.Statistics.LastError, StringComparison.Ordinal);
        Assert.Equal(1, _spool.Records);
        Assert.Empty(_fleet.Agents());
    }

    [Fact]
    public async Task A_credential_of_another_agent_is_refused()
    {
        await using GrpcTestHost host = await HostAsync(credential: Token("agent-2", "secret"));
        StreamClient client = Client(Address(host) with { Token = "secret" });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Failures >= 1);
        await StopAsync(stop, running);
        Assert.Contains("PermissionDenied", client.Statistics.LastError, StringComparison.Ordinal);
        Assert.Empty(_fleet.Agents());
    }

    [Fact]
    public async Task A_server_that_is_not_signed_by_the_ca_gets_nothing()
    {
        using var certificates = new TestCertificates();
        using var others = new TestCertificates();
        await using GrpcTestHost host = await HostAsync(certificates.Server);
        StreamClient client = Client(Address(host) with { TrustedRoots = others.Roots, Token = "secret" });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Failures >= 1);
        await StopAsync(stop, running);
        Assert.Contains("TLS", client.Statistics.LastError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_the_first_address_goes_away_the_next_one_takes_over_without_loss()
    {
        GrpcTestHost first = await HostAsync();
        await using GrpcTestHost second = await HostAsync();
        StreamClient client = Client(Address(first), Address(second));
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Connected);
        Assert.Equal(first.Address.ToString(), client.Statistics.Address);
        for (byte i = 0; i < 50; i++)
            _spool.Append([i]);
        client.RecordsAppended();
        await first.StopAsync();
        await first.DisposeAsync();
        for (byte i = 0; i < 50; i++)
            _spool.Append([i]);
        client.RecordsAppended();
        await Until.HoldsAsync(() => _spool.Records == 0);
        Assert.Equal(second.Address.ToString(), client.Statistics.Address);
        await StopAsync(stop, running);
        AssertAllThere();
    }

    [Fact]
    public async Task A_session_with_the_second_address_goes_back_to_the_first_without_loss_or_doubles()
    {
        var firstUri = new Uri($"http://127.0.0.1:{Ports.Free()}");
        await using GrpcTestHost first = await HostAsync();
        await using GrpcTestHost second = await HostAsync();
        bool back = false;
        AggregatorAddress preferred = new() { Uri = firstUri, Renew = () => new AggregatorAddress { Uri = Volatile.Read(ref back) ? first.Address : firstUri } };
        StreamClient client = new(
            new StreamOptions { Aggregators = [preferred, Address(second)], BackoffMin = TimeSpan.FromMilliseconds(10), BackoffMax = TimeSpan.FromMilliseconds(50), ReturnInterval = TimeSpan.FromMilliseconds(100) },
            new StreamIdentity { AgentId = "agent-1", Version = "1.2.3", ProcessId = "process-1" }, _spool, _watermark, new StreamClientDependencies(TimeProvider.System, new Random(1), _meter, NullLogger.Instance));
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Connected);
        Assert.Equal(second.Address.ToString(), client.Statistics.Address);
        for (byte i = 0; i < 50; i++)
            _spool.Append([i]);
        Volatile.Write(ref back, true);
        while (client.Statistics.Address != first.Address.ToString())
        {
            _spool.Append([1]);
            client.RecordsAppended();
            await Until.HoldsAsync(() => _spool.Records == 0);
        }
        Assert.Equal(1, client.Returns);
        await StopAsync(stop, running);
        AssertAllThere();
    }

    [Fact]
    public async Task A_full_store_is_told_and_the_agent_comes_back_when_there_is_room()
    {
        await using GrpcTestHost host = await HostAsync();
        StreamClient client = Client(Address(host));
        using var stop = new CancellationTokenSource();
        _store.Full = true;
        _spool.Append([1]);
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Failures >= 2);
        Assert.Contains("ResourceExhausted", client.Statistics.LastError, StringComparison.Ordinal);
        Assert.Equal(1, _spool.Records);
        _store.Full = false;
        await Until.HoldsAsync(() => _spool.Records == 0);
        await StopAsync(stop, running);
        AssertAllThere();
    }

    [Fact]
    public async Task A_newer_process_with_the_same_identity_fences_the_older()
    {
        await using GrpcTestHost host = await HostAsync();
        StreamClient older = Client([Address(host)], "process-1", new ListSpool(new Random(2)));
        StreamClient newer = Client([Address(host)], "process-2", new ListSpool(new Random(3)));
        using var stop = new CancellationTokenSource();
        Task first = older.RunAsync(stop.Token);
        await Until.HoldsAsync(() => older.Statistics.Connected);
        Task second = newer.RunAsync(stop.Token);
        await Until.HoldsAsync(() => newer.Statistics.Connected);
        await Until.HoldsAsync(() => older.Statistics.Failures >= 2);
        Assert.Contains("newer process", older.Statistics.LastError, StringComparison.Ordinal);
        Assert.True(newer.Statistics.Connected);
        Assert.Equal(1, newer.Statistics.Sessions);
        await StopAsync(stop, Task.WhenAll(first, second));
    }

    [Fact]
    public async Task Poison_is_counted_and_does_not_block_what_follows()
    {
        _store.IsPoison = static record => record.Span[0] == 13;
        await using GrpcTestHost host = await HostAsync();
        StreamClient client = Client(Address(host));
        using var stop = new CancellationTokenSource();
        for (byte i = 10; i < 20; i++)
            _spool.Append([i]);
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => _spool.Records == 0);
        await Until.HoldsAsync(() => client.Statistics.RecordsRefused == 1);
        Assert.Equal(1, _fleet.Agents()[0].Refused);
        await StopAsync(stop, running);
    }

    [Fact]
    public async Task The_watermark_passes_once_everything_before_it_is_durable()
    {
        await using GrpcTestHost host = await HostAsync();
        Assert.Equal(long.MaxValue, _fleet.PassedMs);
        StreamClient client = Client(Address(host));
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Connected);
        _spool.Append([1]);
        _watermark.PromisedMs = 1_700_000_000_123;
        client.RecordsAppended();
        await Until.HoldsAsync(() => _fleet.PassedMs == 1_700_000_000_123);
        Assert.Equal(1, _store.Applications);
        await StopAsync(stop, running);
        await Until.HoldsAsync(() => _fleet.PassedMs == long.MaxValue);
    }

    private static async Task StopAsync(CancellationTokenSource stop, Task running)
    {
        await stop.CancelAsync();
        await running.WaitAsync(Until.Limit);
    }

    private static AgentCredential Token(string agent, string token) =>
        new() { AgentId = agent, TokenSha256 = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token))) };

    private static AggregatorAddress Address(GrpcTestHost host) => new() { Uri = host.Address };

    private void AssertAllThere()
    {
        foreach ((SegmentRef id, List<byte[]> records) in _spool.All)
            Assert.Equal(records, _store.AppliedOf(new SegmentKey("agent-1", id.Epoch, id.Number, id.Nonce)));
    }

    [Fact]
    public async Task A_revoked_credential_ends_the_open_session_and_the_new_one_lets_in_again()
    {
        var authenticator = new TokenAuthenticator(AgentCredentials.Proofs([Token("agent-1", "first")]));
        var methods = new GrpcMethods();
        var service = new AggregatorService(_options, _store, _fleet, TimeProvider.System, _meter, NullLogger.Instance) { IsInForce = authenticator.IsInForce };
        service.AddTo(methods);
        await using GrpcTestHost host = await GrpcTestHost.StartAsync(
            stopping => new GrpcRouter(methods, AggregatorService.ServerOptions(_options), authenticator, TimeProvider.System, NullLogger.Instance, stopping), null, false);
        string token = "first";
        StreamClient client = Client(Address(host) with { Token = token, Renew = () => Address(host) with { Token = token } });
        using var stop = new CancellationTokenSource();
        Task running = client.RunAsync(stop.Token);
        await Until.HoldsAsync(() => client.Statistics.Connected);
        service.EndRevoked();
        Assert.True(client.Statistics.Connected);
        authenticator.Replace(AgentCredentials.Proofs([Token("agent-1", "second")]));
        service.EndRevoked();
        await Until.HoldsAsync(() => !client.Statistics.Connected && client.Statistics.LastError.Contains("token is not known", StringComparison.Ordinal));
        token = "second";
        await Until.HoldsAsync(() => client.Statistics.Connected);
        await stop.CancelAsync();
        await running;
    }

    private Task<GrpcTestHost> HostAsync(X509Certificate2? tls = null, AgentCredential? credential = null, bool clientCertificates = false, Func<HttpContext, Task<bool>>? before = null, Func<X509Certificate2, bool>? takes = null)
    {
        var methods = new GrpcMethods();
        new AggregatorService(_options, _store, _fleet, TimeProvider.System, _meter, NullLogger.Instance).AddTo(methods);
        TokenAuthenticator? authenticator = credential is null ? null : new TokenAuthenticator(AgentCredentials.Proofs([credential]));
        return GrpcTestHost.StartAsync(
            stopping => new GrpcRouter(methods, AggregatorService.ServerOptions(_options), authenticator, TimeProvider.System, NullLogger.Instance, stopping), tls, clientCertificates, before: before, takes: takes);
    }

    private StreamClient Client(params AggregatorAddress[] addresses) => Client(addresses, "process-1", _spool);

    private StreamClient Client(AggregatorAddress[] addresses, string process, ListSpool spool) => new(
        new StreamOptions { Aggregators = addresses, BackoffMin = TimeSpan.FromMilliseconds(10), BackoffMax = TimeSpan.FromMilliseconds(50) },
        new StreamIdentity { AgentId = "agent-1", Version = "1.2.3", ProcessId = process, Labels = new Dictionary<string, string> { ["site"] = "site-1" } },
        spool, _watermark, new StreamClientDependencies(TimeProvider.System, new Random(1), _meter, NullLogger.Instance));
}
