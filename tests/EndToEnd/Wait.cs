namespace Bellwether.EndToEnd;

/// <summary>Waits for something that real programs bring about, asking again and again up to a limit; never just sleeps.</summary>
internal static class Wait
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);

    /// <summary>Waits for a line of a program's output: it may come after what the line is about can be seen elsewhere.</summary>
    public static Task ForOutputAsync(Running program, string what, TimeSpan limit) =>
        ForAsync($"'{what}'", () => Task.FromResult(program.Output.Contains(what, StringComparison.Ordinal)), limit, program);

    public static async Task ForAsync(string what, Func<Task<bool>> done, TimeSpan limit, params Running[] mustRun)
    {
        TimeProvider time = TimeProvider.System;
        long start = time.GetTimestamp();
        string last = "";
        while (true)
        {
            try
            {
                if (await done())
                    return;
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException or InvalidOperationException or KeyNotFoundException or IOException or System.Text.Json.JsonException)
            {
                last = e.Message;
            }
            foreach (Running running in mustRun)
                Assert.False(running.HasExited, $"a program ended while waiting for {what}:\n{running.Output}");
            if (time.GetElapsedTime(start) > limit)
                Assert.Fail($"waited {limit.TotalSeconds:F0} s for {what}; {last}\n{string.Join("\n---\n", mustRun.Select(r => r.Output))}");
            await Task.Delay(s_pause, time);
        }
    }
}
