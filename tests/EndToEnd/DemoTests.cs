using Bellwether.Kit;
using Microsoft.Playwright;

namespace Bellwether.EndToEnd;

/// <summary>The demo with the shipped programs: its own checks, and its console in a real browser.</summary>
public sealed class DemoTests
{
    /// <summary>Below the time after which a test is said to hang (scripts/test).</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(9);
    private const float PatienceMs = 120_000;

    private static string[] Arguments(params string[] more) =>
    [
        Path.Combine(Programs.Root, "samples/demo/bin/Release/net10.0/demo.dll"),
        "--shop", Path.Combine(Programs.Root, "samples/shop/bin/Release/net10.0/shop"),
        "--agent", Programs.Agent, "--aggregator", Programs.Aggregator, .. more,
    ];

    [Fact]
    public async Task The_demos_checks_pass()
    {
        (int code, string output) = await Running.ToEndAsync(s_limit, "dotnet", Programs.Root, Arguments("--check"));
        Assert.True(code == 0, output);
        Assert.Matches(@"demo: \d+ checks passed, 0 failed", output);
    }

    [Fact]
    public async Task The_history_of_an_agent_that_was_cut_off_heals()
    {
        (int code, string output) = await Running.ToEndAsync(s_limit, "dotnet", Programs.Root, Arguments("--late", "--check"));
        Assert.True(code == 0, output);
        Assert.Matches(@"late: \d+ checks passed, 0 failed", output);
    }

    [Fact]
    public async Task The_console_shows_kpis_alerts_and_agents_in_a_real_browser()
    {
        int port = Ports.Free();
        await using Running demo = Running.Start("dotnet", Programs.Root, Arguments("--port", port.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        using var api = new Api($"http://127.0.0.1:{port}");
        await Wait.ForAsync("the demo's KPIs", async () => await api.ValueAsync("kpi:orders:per_minute") > 0, TimeSpan.FromSeconds(300), demo);

        using IPlaywright playwright = await Playwright.CreateAsync();
        await using IBrowser browser = await playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = "/usr/bin/chromium",
            Timeout = PatienceMs,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        IPage page = await browser.NewPageAsync(new() { ViewportSize = new() { Width = 1280, Height = 960 }, ColorScheme = ColorScheme.Light });
        page.SetDefaultTimeout(PatienceMs);
        Assertions.SetDefaultExpectTimeout(PatienceMs);
        var complaints = new List<string>();
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
                complaints.Add(message.Text);
        };
        page.PageError += (_, error) => complaints.Add(error);
        await page.GotoAsync($"http://127.0.0.1:{port}/");

        ILocator revenue = page.Locator("[data-kpi='kpi:revenue_per_hour:euros'] [data-value]");
        await Assertions.Expect(revenue).ToContainTextAsync("€");
        await Assertions.Expect(page.Locator("[data-kpi] canvas").First).ToBeVisibleAsync();
        // The index explains itself on a click; the objective shows its budget's burn-down.
        ILocator health = page.Locator("[data-kpi='kpi:shop_health:score']");
        await Assertions.Expect(health).ToContainTextAsync("coverage");
        await Assertions.Expect(health.Locator("[data-target='90']")).ToBeVisibleAsync();
        await Assertions.Expect(health.Locator("[data-finality]")).ToBeVisibleAsync();
        await health.Locator("[data-explain='shop_health']").ClickAsync();
        ILocator why = page.Locator("[data-explanation='shop_health']");
        await Assertions.Expect(why).ToContainTextAsync("Version 1");
        await Assertions.Expect(why.Locator("[data-part]").First).ToBeVisibleAsync();
        ILocator objective = page.Locator("[data-slo='shop-availability']");
        await Assertions.Expect(objective).ToContainTextAsync("budget left");
        await Assertions.Expect(objective.Locator("[data-points]")).Not.ToHaveAttributeAsync("data-points", "0");
        await Assertions.Expect(page.Locator("[data-agent='demo-agent']")).ToContainTextAsync("connected");
        ILocator complete = page.Locator("[data-complete='demo-agent']");
        await Assertions.Expect(complete).ToContainTextAsync("present");
        await Assertions.Expect(complete.Locator("svg rect[fill='#12b886']").First).ToBeAttachedAsync();
        await Assertions.Expect(page.Locator("[data-alert='PaymentsAreDeclined']")).ToBeVisibleAsync();
        // The number on the card is the number of the API.
        await Wait.ForAsync("the card to show the API's value", async () =>
        {
            double shown = double.Parse((await page.Locator("[data-kpi='kpi:orders_so_far:orders'] [data-value]").GetAttributeAsync("data-value"))!, System.Globalization.CultureInfo.InvariantCulture);
            return Math.Abs(shown - (await api.ValueAsync("kpi:orders_so_far:orders"))!.Value) <= 100;
        }, Site.Limit, demo);
        // A line worth looking at needs some minutes; a screenshot for the README waits for them when it is asked for.
        string? picture = Environment.GetEnvironmentVariable("BELLWETHER_SCREENSHOT");
        string path = picture ?? Path.Combine(Path.GetTempPath(), $"bellwether-console-{port}.png");
        if (picture is not null)
            await Wait.ForAsync("some minutes of history", async () => await api.ValueAsync("count_over_time(kpi:orders:per_minute[15m])") > 240, TimeSpan.FromMinutes(10), demo);
        await page.ScreenshotAsync(new() { Path = path, FullPage = true });
        Assert.True(new FileInfo(path).Length > 20_000, "the screenshot is all but empty");
        Assert.Empty(complaints);
        await demo.StopAsync();
    }
}
