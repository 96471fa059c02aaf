using System.IO.Compression;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Bellwether.EndToEnd;

/// <summary>Targets that answer what they should not: their own scrape fails with a reason, nothing else suffers; and targets that change while the agent runs.</summary>
public sealed class HostileTargetTests
{
    [Fact]
    public async Task A_hostile_target_is_down_with_a_reason_and_the_others_go_on()
    {
        await using WebApplication hostile = HostileTarget();
        await hostile.StartAsync();
        string address = new Uri(hostile.Urls.First()).Authority;
        await using CountingTarget target = await CountingTarget.StartAsync(20);
        await using var site = new Site();
        (string Path, string Reason)[] kinds =
        [
            ("garbage", "line 1"),
            ("large", "body size limit exceeded"),
            ("bomb", "body size limit exceeded"),
            ("never", "no answer within 1 s"),
            ("half", "no answer within 1 s"),
            ("cut", "Connection reset by peer|ended prematurely"),
            ("error", "HTTP status 500"),
        ];
        site.ConfigureAggregator();
        site.ConfigureAgent(Ledger.Scraping(target) + "\n" + string.Join("\n", kinds.Select(k => $"""
              - job_name: {k.Path}
                metrics_path: /{k.Path}
                body_size_limit: 64KB
                static_configs:
                  - targets: ["{address}"]
            """)));
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("all targets' health", async () => await site.Api.ValueAsync("count(up)") >= kinds.Length + 1);
        await site.WaitForAsync("some scrapes beside them", () => Task.FromResult(target.Answered.Length >= 6));
        foreach ((string path, _) in kinds)
            Assert.Equal(0, await site.Api.ValueAsync($"max(max_over_time(up{{job=\"{path}\"}}[5m]))"));
        // Both targets are in this process: on a busy machine an answer may be late now and then.
        Assert.True(await site.Api.ValueAsync("min(avg_over_time(up{job=\"ledger\"}[5m]))") >= 0.5, "most scrapes beside the hostile ones failed");
        int last = target.Answered.Max();
        await Ledger.WaitForAllAsync(site, target, last, lostMax: 0);
        // The reason told is that of the last scrape: any of them may have been too late once.
        await site.WaitForAsync("every reason", async () =>
        {
            (int code, string status) = await Running.ToEndAsync(Programs.Agent, site.Folder, "status", "--config", "agent.yaml");
            Assert.True(code == 0, status);
            string[] lines = status.Split('\n');
            foreach ((string path, string reason) in kinds)
            {
                if (!lines.Any(l => l.Contains('/' + path, StringComparison.Ordinal) && reason.Split('|').Any(r => l.Contains(r, StringComparison.Ordinal))))
                    throw new InvalidOperationException($"no line with '{path}' and '{reason}' in\n{status}");
            }
            return lines.Any(l => l.Contains(target.Address, StringComparison.Ordinal) && l.EndsWith(" ok", StringComparison.Ordinal));
        });
    }

    [Fact]
    public async Task A_changed_targets_file_is_taken_without_a_restart()
    {
        await using CountingTarget first = await CountingTarget.StartAsync(1);
        await using CountingTarget second = await CountingTarget.StartAsync(1);
        await using var site = new Site();
        site.Write("targets.json", Targets(first));
        site.ConfigureAggregator();
        site.ConfigureAgent("""
            global:
              scrape_interval: 1s
              scrape_timeout: 1s
            scrape_configs:
              - job_name: ledger
                file_sd_configs:
                  - files: ["targets.json"]
                    refresh_interval: 1s
            """);
        await site.StartAggregatorAsync();
        site.StartAgent();
        await site.WaitForAsync("the first target", async () => await site.Api.ValueAsync("count(ledger_value{site=\"here\"})") == 1);
        site.Write("next.json", Targets(first, second));
        File.Move(Path.Combine(site.Folder, "next.json"), Path.Combine(site.Folder, "targets.json"), overwrite: true);
        await site.WaitForAsync("both targets", async () => await site.Api.ValueAsync("count(ledger_value)") == 2);
        // What is being written cannot be read: the targets stay.
        site.Write("targets.json", "[{\"targets\": [");
        await site.WaitForAsync("a line about the file", () => Task.FromResult(site.Agent!.Output.Contains("targets.json", StringComparison.Ordinal)));
        int answered = first.Answered.Length;
        await site.WaitForAsync("scrapes of the targets known", () => Task.FromResult(first.Answered.Length >= answered + 2));
        site.Write("targets.json", Targets(second));
        await site.WaitForAsync("the second target alone", async () =>
            (await site.Api.QueryAsync("ledger_value")) is [var only] && only.GetProperty("metric").GetProperty("instance").GetString() == second.Address);

        static string Targets(params CountingTarget[] targets) =>
            "[{\"targets\": [" + string.Join(", ", targets.Select(t => $"\"{t.Address}\"")) + "], \"labels\": {\"site\": \"here\"}}]\n";
    }

    private static WebApplication HostileTarget()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        WebApplication app = builder.Build();
        byte[] large = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("large_value 1\n", 640 * 1024 / 14)));
        byte[] bomb = Bomb(256 << 20);
        app.MapGet("/garbage", http => WriteAsync(http, [0xFF, 0x00, 0x7B, 0x7B, 0x22, 0x0A, 0xC0, 0xAF]));
        app.MapGet("/large", http => WriteAsync(http, large));
        app.MapGet("/bomb", http =>
        {
            http.Response.Headers.ContentEncoding = "gzip";
            return WriteAsync(http, bomb);
        });
        app.MapGet("/never", http => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, http.RequestAborted));
        app.MapGet("/half", async http =>
        {
            await WriteAsync(http, "half_value 1\n"u8.ToArray());
            await http.Response.Body.FlushAsync();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, http.RequestAborted);
        });
        app.MapGet("/cut", async http =>
        {
            http.Response.ContentLength = 1000;
            await WriteAsync(http, "cut_value 1\n"u8.ToArray());
            await http.Response.Body.FlushAsync();
            http.Abort();
        });
        app.MapGet("/error", http =>
        {
            http.Response.StatusCode = StatusCodes.Status500InternalServerError;
            return Task.CompletedTask;
        });
        return app;

        static async Task WriteAsync(HttpContext http, byte[] body)
        {
            http.Response.ContentType = "text/plain; version=0.0.4";
            await http.Response.Body.WriteAsync(body);
        }
    }

    private static byte[] Bomb(int length)
    {
        using var into = new MemoryStream();
        using (var gzip = new GZipStream(into, CompressionLevel.Fastest))
        {
            byte[] line = Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("bomb_value 1\n", 80_000)));
            for (int written = 0; written < length; written += line.Length)
                gzip.Write(line);
        }
        return into.ToArray();
    }
}
