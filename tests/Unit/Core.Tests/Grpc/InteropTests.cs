using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;
using Bellwether.Core.Grpc;
using Bellwether.Kit;
using Google.Protobuf.WellKnownTypes;
using Xunit.Abstractions;

namespace Bellwether.Core.Tests.Grpc;

/// <summary>Both directions against grpcio and @grpc/grpc-js (tests/EndToEnd/interop). Where a peer is missing: a failure in CI, a loud line elsewhere.</summary>
public sealed class InteropTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(300);

    private static readonly string[] s_scenarios =
        ["unary", "large", "bidi", "error_with_details", "deadline", "cancel", "unknown_method", "fail_mid_stream", "answer_first", "metadata", "compression_is_refused"];

    [Theory]
    [InlineData("grpcio", false)]
    [InlineData("grpcio", true)]
    [InlineData("grpc-js", false)]
    [InlineData("grpc-js", true)]
    public async Task Our_server_serves_their_client(string peer, bool tls)
    {
        if (Find(peer) is not { } command)
            return;
        using var certificates = new TestCertificates();
        using var files = new CertificateFiles(certificates);
        await using GrpcTestServer server = await GrpcTestServer.StartAsync(tls: tls ? certificates.Server : null);
        string[] arguments = tls ? ["client", $"localhost:{server.Address.Port}", files.Authority] : ["client", $"127.0.0.1:{server.Address.Port}"];
        using Process process = Start(command, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string said = await process.StandardOutput.ReadToEndAsync().WaitAsync(s_patience);
        output.WriteLine(said + await errors);
        Assert.Equal(s_scenarios.Select(s => "ok " + s), said.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Theory]
    [InlineData("grpcio", false)]
    [InlineData("grpcio", true)]
    [InlineData("grpc-js", false)]
    [InlineData("grpc-js", true)]
    public async Task Our_client_calls_their_server(string peer, bool tls)
    {
        if (Find(peer) is not { } command)
            return;
        using var certificates = new TestCertificates();
        using var files = new CertificateFiles(certificates);
        using Process process = Start(command, tls ? ["server", files.Certificate, files.Key] : ["server"]);
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync().WaitAsync(s_patience);
            Assert.StartsWith("listening ", line, StringComparison.Ordinal);
            string port = line!["listening ".Length..];
            var options = new GrpcChannelOptions { Address = new Uri(tls ? $"https://localhost:{port}" : $"http://127.0.0.1:{port}"), TrustedRoots = tls ? certificates.Roots : null };
            using var channel = new GrpcChannel(options, TimeProvider.System);
            await CallEverythingAsync(channel);
        }
        finally
        {
            process.StandardInput.Close();
            process.Kill();
        }
    }

    private static async Task CallEverythingAsync(GrpcChannel channel)
    {
        var soon = new GrpcCallOptions { Timeout = TimeSpan.FromSeconds(120) };
        GrpcResult<BytesValue> small = await channel.UnaryAsync(EchoService.Unary, EchoService.Text("abc"), soon, CancellationToken.None).WaitAsync(s_patience);
        // grpc-js says 'OK' in words, too.
        Assert.Equal((GrpcStatusCode.Ok, EchoService.Text("abc")), (small.Status.Code, small.Response));
        GrpcResult<BytesValue> large = await channel.UnaryAsync(EchoService.Unary, EchoService.Bytes(3_000_000), soon, CancellationToken.None).WaitAsync(s_patience);
        Assert.True(large.Status.IsOk, large.Status.ToString());
        Assert.Equal(EchoService.Bytes(3_000_000), large.Response);

        await BidiAsync(channel, soon);

        GrpcResult<BytesValue> failed = await channel.UnaryAsync(EchoService.Fail, EchoService.Text("8 100 % voll: schöne Grüße\n"), soon, CancellationToken.None).WaitAsync(s_patience);
        Assert.Equal((GrpcStatusCode.ResourceExhausted, "100 % voll: schöne Grüße\n"), (failed.Status.Code, failed.Status.Message));
        Assert.Equal(EchoService.Details, failed.Status.Details.ToArray());

        var unknown = new GrpcMethod<BytesValue, BytesValue>(EchoService.Name, "Nothing", BytesValue.Parser, BytesValue.Parser);
        Assert.Equal(GrpcStatusCode.Unimplemented, (await channel.UnaryAsync(unknown, EchoService.Text(""), soon, CancellationToken.None).WaitAsync(s_patience)).Status.Code);

        GrpcCallOptions late = new() { Timeout = TimeSpan.FromMilliseconds(200) };
        await using (GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Hang, late, CancellationToken.None))
            Assert.Equal(GrpcStatusCode.DeadlineExceeded, (await call.Ended.WaitAsync(s_patience)).Code);

        for (int i = 0; i < 20; i++)
        {
            await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Hang, soon, CancellationToken.None);
            await call.WriteAsync(EchoService.Text("x"), CancellationToken.None);
            call.Cancel();
            Assert.Equal(GrpcStatusCode.Cancelled, (await call.Ended.WaitAsync(s_patience)).Code);
        }

        var metadata = new GrpcMetadata { { "x-text", "some text" }, { "x-bytes-bin", new byte[] { 0, 255, 1, 2 } } };
        GrpcResult<BytesValue> told = await channel.UnaryAsync(EchoService.Metadata, EchoService.Text(""), soon with { Metadata = metadata }, CancellationToken.None).WaitAsync(s_patience);
        Assert.Equal("some text/00FF0102", told.Response?.Value.ToStringUtf8());
        Assert.Equal([0, 255, 1, 2], told.Trailers.Bytes("x-bytes-bin")!.Value.ToArray());

        await EarlyEndsAsync(channel, soon);
    }

    private static async Task BidiAsync(GrpcChannel channel, GrpcCallOptions options)
    {
        await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.Bidi, options, CancellationToken.None);
        for (int i = 0; i < 100; i++)
        {
            await call.WriteAsync(EchoService.Bytes(i * 100, (byte)i), CancellationToken.None);
            Assert.Equal(EchoService.Bytes(i * 100, (byte)i), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        }
        call.CompleteWriting();
        Assert.Null(await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        Assert.Equal(GrpcStatusCode.Ok, call.Status!.Value.Code);
    }

    private static async Task EarlyEndsAsync(GrpcChannel channel, GrpcCallOptions options)
    {
        await using (GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.FailMidStream, options, CancellationToken.None))
        {
            Assert.Equal(EchoService.Text("one"), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
            Assert.Equal(EchoService.Text("two"), await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
            Assert.Null(await call.ReadAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
            Assert.Equal(new GrpcStatus(GrpcStatusCode.DataLoss, "lost"), call.Status);
        }
        for (int i = 0; i < 30; i++)
        {
            await using GrpcCall<BytesValue, BytesValue> call = channel.Open(EchoService.AnswerFirst, options, CancellationToken.None);
            try
            {
                for (int j = 0; j < 20; j++)
                    await call.WriteAsync(EchoService.Bytes(40_000), CancellationToken.None).AsTask().WaitAsync(s_patience);
            }
            catch (GrpcStatusException e)
            {
                Assert.Equal(GrpcStatusCode.FailedPrecondition, e.Status.Code);
            }
            Assert.Equal(new GrpcStatus(GrpcStatusCode.FailedPrecondition, "not now"), await call.Ended.WaitAsync(s_patience));
        }
    }

    /// <summary>The command of a peer with its script and environment; null (loudly) when it is missing.</summary>
    private (string Program, string Script, string? NodePath)? Find(string peer)
    {
        string folder = Path.Combine(SourceTree.Root, "tests", "EndToEnd", "interop");
        if (peer == "grpcio")
        {
            if (Run("/usr/bin/python3", ["-c", "import grpc, google.protobuf"]) is not null)
                return ("/usr/bin/python3", Path.Combine(folder, "peer.py"), null);
        }
        else if (Run("node", ["--version"]) is not null && Run("/bin/bash", [Path.Combine(folder, "setup")]) is { } cache)
        {
            return ("node", Path.Combine(folder, "peer.cjs"), Path.Combine(cache.Trim(), "node_modules"));
        }
        output.WriteLine($"NOT RUN: the peer '{peer}' is missing; 'scripts/needs interop' installs it.");
        Assert.False(Environment.GetEnvironmentVariable("CI") == "true", $"The peer '{peer}' is missing; CI must have it (scripts/needs interop).");
        return null;
    }

    private static string? Run(string program, string[] arguments)
    {
        try
        {
            using Process process = Start((program, "", null), arguments);
            string said = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? said : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }

    private static Process Start((string Program, string Script, string? NodePath) command, string[] arguments)
    {
        var start = new ProcessStartInfo(command.Program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        if (command.Script.Length > 0)
            start.ArgumentList.Add(command.Script);
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        if (command.NodePath is { } path)
            start.Environment["NODE_PATH"] = path;
        return Process.Start(start)!;
    }

    private sealed class CertificateFiles : IDisposable
    {
        private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("bellwether-interop-");

        public CertificateFiles(TestCertificates certificates)
        {
            File.WriteAllText(Authority, certificates.Roots[0].ExportCertificatePem());
            File.WriteAllText(Certificate, certificates.Server.ExportCertificatePem());
            using System.Security.Cryptography.ECDsa key = certificates.Server.GetECDsaPrivateKey()!;
            File.WriteAllText(Key, key.ExportPkcs8PrivateKeyPem());
        }

        public string Authority => Path.Combine(_folder.FullName, "ca.pem");

        public string Certificate => Path.Combine(_folder.FullName, "server.pem");

        public string Key => Path.Combine(_folder.FullName, "server.key");

        public void Dispose() => _folder.Delete(recursive: true);
    }
}
