namespace Bellwether.Kit;

/// <summary>Waits for what other threads bring about, asking again and again.</summary>
public static class Until
{
    /// <summary>So long that only what never happens is not waited for, however loaded the machine is.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Returns when it holds; throws <see cref="TimeoutException"/> when it does not come to hold.</summary>
    public static async Task HoldsAsync(Func<bool> condition)
    {
        TimeProvider time = TimeProvider.System;
        long start = time.GetTimestamp();
        while (!condition())
        {
            if (time.GetElapsedTime(start) > Limit)
                throw new TimeoutException($"it did not come to hold in {Limit.TotalMinutes} minutes");
            await Task.Delay(s_pause, time);
        }
    }
}
