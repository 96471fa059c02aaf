using Bellwether.Prove;
using Xunit.Abstractions;

namespace Bellwether.EndToEnd;

/// <summary>
/// Many real crashes and faults of the shipped programs under load; the targets' ledgers are the judge. scripts/test --long (BELLWETHER_LONG=1) runs the full counts.
/// </summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    private static readonly bool s_long = Environment.GetEnvironmentVariable("BELLWETHER_LONG") == "1";

    [Fact]
    public async Task A_hundred_kills_of_either_side_and_of_both_lose_double_and_alter_nothing()
    {
        int times = s_long ? 10 : 1;
        await AssertNothingDiffersAsync(new ProveOptions
        {
            Seed = 11,
            Length = TimeSpan.FromSeconds(75) * times,
            Outage = TimeSpan.Zero,
            Agents = 3,
            TargetsPerAgent = 1,
            Series = 200,
            Interval = TimeSpan.FromMilliseconds(250),
            Kills = 50 * times,
            KillsOfAggregator = 30 * times,
            KillsOfBoth = 20 * times,
            Stops = 0,
            Restarts = 5 * times,
            AwayMax = TimeSpan.FromMilliseconds(400),
        });
    }

    [Fact]
    public async Task Thirty_faults_of_the_system_lose_double_and_alter_nothing_and_fresh_samples_come_soon_after()
    {
        if (await SystemFault.WhyNotAsync() is { } reason)
        {
            output.WriteLine($"NOT TESTED: faults of the system, since {reason}.");
            return;
        }
        await AssertNothingDiffersAsync(new ProveOptions
        {
            Seed = 12,
            Agents = 1,
            Series = 200,
            Interval = TimeSpan.FromMilliseconds(500),
            Faults = s_long ? 150 : SystemFault.All.Count,
            FaultLength = TimeSpan.FromMilliseconds(700),
            StopMax = s_long ? TimeSpan.FromSeconds(30) : TimeSpan.FromSeconds(3),
        });
    }

    private async Task AssertNothingDiffersAsync(ProveOptions options)
    {
        Balance balance = await new ProveRun(options, TimeProvider.System, output.WriteLine).RunAsync(CancellationToken.None);
        Assert.True(balance.Difference == 0, $"{balance.Missing} missing, {balance.Doubled} doubled, {balance.Wrong} wrong, {balance.OutOfOrder} out of order\n{string.Join('\n', balance.Examples)}");
        Assert.True(balance.Stored > 0);
    }
}
