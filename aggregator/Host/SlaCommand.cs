using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Bellwether.Core.Bundles;
using Bellwether.Evaluate.Kpi.Sla.Evidence;

namespace Bellwether.Aggregator;

/// <summary><c>bellwether-aggregator sla evidence|verify|keygen</c>: the signed evidence pack of a month (docs/slas.md).</summary>
internal static class SlaCommand
{
    private const int ExitBadInput = 2;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(30);

    /// <summary>Makes the command; <paramref name="addressOf"/> gives the HTTP address that a configuration file names, or null after it has told the errors.</summary>
    public static Command Create(Func<string, string?> addressOf, TimeProvider time) =>
        new("sla", "Service levels: makes and verifies the signed evidence of a month.") { Evidence(addressOf, time), Verify(time), KeyGen() };

    private static Command Evidence(Func<string, string?> addressOf, TimeProvider time)
    {
        var config = new Option<string>("--config", "-c") { Description = "The aggregator's configuration; its HTTP address is asked.", DefaultValueFactory = _ => "aggregator.yaml" };
        var url = new Option<string?>("--url") { Description = "Address to ask instead, e.g. http://127.0.0.1:9090." };
        var month = new Option<string>("--month") { Description = "The calendar month, e.g. 2026-10.", Required = true };
        var sla = new Option<string?>("--sla") { Description = "Only contracts that promise this." };
        var contract = new Option<string?>("--contract") { Description = "Only this contract." };
        var key = new Option<string>("--key") { Description = "The private key that signs (P-256, PEM); make one with 'sla keygen'.", Required = true };
        var output = new Option<string>("--output", "-o") { Description = "The file to write; one that is there is not replaced.", Required = true };
        var command = new Command("evidence", "Has a running aggregator put together what the numbers of a month were made of, signs it and writes it to a file.") { config, url, month, sla, contract, key, output };
        command.SetAction(async (parse, cancellation) =>
        {
            if (ServerAddress.Of(parse.GetValue(url), () => addressOf(parse.GetRequiredValue(config))) is not { } address)
                return ExitBadInput;
            string query = $"/api/v1/sla/evidence?month={Uri.EscapeDataString(parse.GetRequiredValue(month))}&sla={Uri.EscapeDataString(parse.GetValue(sla) ?? "")}&contract={Uri.EscapeDataString(parse.GetValue(contract) ?? "")}";
            return await MakeAsync(address + query, parse.GetRequiredValue(key), parse.GetRequiredValue(output), time, cancellation);
        });
        return command;
    }

    private static async Task<int> MakeAsync(string url, string keyFile, string output, TimeProvider time, CancellationToken cancellation)
    {
        if (BundleKeys.WhyNot(keyFile, isPrivate: true) is { } unusable)
            return Refuse(unusable.Replace("bundle keygen", "sla keygen", StringComparison.Ordinal));
        try
        {
            using ECDsa key = BundleKeys.Read(await File.ReadAllTextAsync(keyFile, cancellation), keyFile);
            using var client = new HttpClient { Timeout = s_limit, MaxResponseContentBufferSize = EvidenceFormat.PackBytesMax };
            using HttpResponseMessage answer = await client.GetAsync(url, cancellation);
            byte[] body = await answer.Content.ReadAsByteArrayAsync(cancellation);
            if (!answer.IsSuccessStatusCode)
                return Refuse(Detail(body) ?? $"{url}: {answer.ReasonPhrase}");
            using (var file = new FileStream(output, FileMode.CreateNew, FileAccess.Write))
                EvidencePack.Sign(new MemoryStream(body), file, key, time.GetUtcNow().ToUnixTimeMilliseconds());
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{output}: {new FileInfo(output).Length} bytes, signed by {Convert.ToHexStringLower(BundleKeys.Fingerprint(key))}. Verify it with: bellwether-aggregator sla verify {output} --key PUBLIC_KEY"));
            return 0;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException or EvidenceException or CryptographicException)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }

    private static string? Detail(byte[] body)
    {
        try
        {
            using JsonDocument problem = JsonDocument.Parse(body);
            return problem.RootElement.TryGetProperty("detail", out JsonElement detail) ? detail.GetString() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static Command Verify(TimeProvider time)
    {
        var file = new Argument<string>("FILE") { Description = "The pack." };
        var key = new Option<string?>("--key") { Description = "The public key of who must have signed it (PEM)." };
        var any = new Option<bool>("--any-key") { Description = "Verify without knowing the key: it is told who signed, not whether to trust it." };
        var command = new Command("verify", "Checks the signature of a pack and computes its numbers again from its own samples, offline. Exit code 0: equal; 1: not; 2: refused.") { file, key, any };
        command.SetAction((parse, cancellation) => Task.FromResult(Verify(parse.GetRequiredValue(file), parse.GetValue(key), parse.GetValue(any), time, cancellation)));
        return command;
    }

    private static int Verify(string file, string? keyFile, bool any, TimeProvider time, CancellationToken cancellation)
    {
        if (keyFile is null == !any)
            return Refuse("write either --key FILE, the public key of who must have signed the pack, or --any-key");
        if (keyFile is not null && BundleKeys.WhyNot(keyFile, isPrivate: false) is { } unusable)
            return Refuse(unusable);
        try
        {
            using ECDsa? key = keyFile is null ? null : BundleKeys.Read(File.ReadAllText(keyFile), keyFile);
            using FileStream stream = File.OpenRead(file);
            OpenedEvidence pack = EvidencePack.Open(stream, key);
            IReadOnlyList<EvidenceVerdict> verdicts = EvidenceVerifier.Verify(pack, time, cancellation);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{file}: evidence of {pack.Document.Month}, {pack.Document.Series} series with {pack.Document.Samples} samples; signed by {(pack.IsKnownKey ? "the key that is expected," : "a key that was not checked,")} {pack.Fingerprint}"));
            foreach (EvidenceVerdict verdict in verdicts)
                Tell(verdict);
            return verdicts.All(v => v.Differences.Count == 0) ? 0 : 1;
        }
        catch (Exception e) when (e is EvidenceException or IOException or UnauthorizedAccessException)
        {
            return Refuse($"{file}: refused: {e.Message}");
        }
    }

    private static void Tell(EvidenceVerdict verdict)
    {
        EvidenceContract contract = verdict.Contract;
        EvidenceNumbers numbers = verdict.Recomputed;
        string Number(double? value) => value is { } known ? string.Create(CultureInfo.InvariantCulture, $"{known} {contract.Promise.Unit}").TrimEnd() : "no data";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{contract.Name}: {contract.Promise.Sla}{(contract.Promise.Tier.Length > 0 ? $" ({contract.Promise.Tier})" : "")}: {Number(numbers.Value)}, {Number(numbers.ValueBefore)} before planned work, target {Number(contract.Promise.Target)}, credit {numbers.Credit} %{(numbers.IsOver ? "" : ", the month is not over")}: {(verdict.Differences.Count == 0 ? "equal" : "NOT EQUAL")}"));
        foreach (string difference in verdict.Differences)
            Console.WriteLine($"  {difference}");
    }

    private static Command KeyGen()
    {
        var name = new Argument<string>("NAME") { Description = "NAME.key and NAME.pub are written." };
        var command = new Command("keygen", "Makes a key pair to sign packs with (P-256).") { name };
        command.SetAction(parse => BundleKeyMaker.Make(parse.GetRequiredValue(name), Console.Out, Console.Error));
        return command;
    }

    private static int Refuse(string message)
    {
        Console.Error.WriteLine(message);
        return ExitBadInput;
    }
}
