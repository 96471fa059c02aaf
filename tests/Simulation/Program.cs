using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Bellwether.Simulation;

/// <summary>scripts/simulate.</summary>
internal static class Program
{
    private const int LongFactor = 10;

    private sealed class Wish
    {
        public int First { get; set; } = 1;

        public int Seeds { get; set; } = 200;

        public int Crashes { get; set; } = 50;

        public double Minutes { get; set; }

        public bool IsTraced { get; set; }

        public bool StopsAtFailure { get; set; }
    }

    private static int Main(string[] arguments)
    {
        var wish = new Wish();
        for (int i = 0; i < arguments.Length; i++)
        {
            string value = i + 1 < arguments.Length ? arguments[i + 1] : "";
            bool isNumber = int.TryParse(value, CultureInfo.InvariantCulture, out int number) && number > 0;
            switch (arguments[i])
            {
                case "--seed" when isNumber:
                    (wish.First, wish.Seeds, wish.IsTraced) = (number, 1, true);
                    i++;
                    break;
                case "--seeds" when isNumber:
                    wish.Seeds = number;
                    i++;
                    break;
                case "--from" when isNumber:
                    wish.First = number;
                    i++;
                    break;
                case "--crashes" when isNumber:
                    wish.Crashes = number;
                    i++;
                    break;
                case "--minutes" when isNumber:
                    (wish.Minutes, wish.Seeds) = (number, int.MaxValue - wish.First);
                    i++;
                    break;
                case "--long":
                    wish.Seeds *= LongFactor;
                    break;
                case "--quick":
                    wish.StopsAtFailure = true;
                    break;
                default:
                    Console.Error.WriteLine($"scripts/simulate: '{arguments[i]}' is unknown or lacks its number; there are --seed N, --seeds N, --from N, --crashes N, --long, --minutes N, --quick");
                    return 2;
            }
        }
        return wish.IsTraced ? Replay(wish.First, wish.Crashes) : RunAll(wish);
    }

    private static int Replay(int seed, int crashes)
    {
        var trace = new Trace(Console.Out);
        string? broken = RunOne(seed, crashes, trace, out SimulatedWorld world);
        Console.WriteLine(broken ?? string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {world.Crashes} crashes, {world.Stored} samples stored, {world.Dropped} dropped and counted; trace {trace.Hash:x16}"));
        return broken is null ? 0 : 1;
    }

    private sealed class Sums
    {
        public long Crashes, Stored, Dropped, Damaged;
        public int Passed, Failed, Twice;
    }

    // Each seed is one thread's from beginning to end; the seeds are shared out among as many threads as there are processors.
    private static int RunAll(Wish wish)
    {
        TimeProvider time = TimeProvider.System;
        long started = time.GetTimestamp();
        var sums = new Sums();
        int next = wish.First - 1;
        Thread[] threads = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        double seconds = time.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{sums.Crashes} crashes in {sums.Passed + sums.Failed} seeds, {sums.Stored} samples stored, {sums.Dropped} dropped and counted, of them {sums.Damaged} damaged; {sums.Twice} seeds run twice with equal traces; {sums.Crashes / seconds:0} crashes/s"));
        if (sums.Failed == 0 && sums.Crashes > 0)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"at 95 % fewer than {300.0 / sums.Crashes:0.####} % of crashes break the promise (3/n)"));
        Console.WriteLine($"{sums.Passed} passed, {sums.Failed} failed");
        return sums.Failed == 0 ? 0 : 1;

        void Work()
        {
            while (wish.Minutes == 0 || time.GetElapsedTime(started).TotalMinutes < wish.Minutes)
            {
                int seed = Interlocked.Increment(ref next);
                if (seed - wish.First >= wish.Seeds || (wish.StopsAtFailure && Volatile.Read(ref sums.Failed) > 0))
                    return;
                RunSeed(seed, wish.Crashes, sums);
            }
        }
    }

    private static void RunSeed(int seed, int crashes, Sums sums)
    {
        var trace = new Trace(null);
        string? broken = RunOne(seed, crashes, trace, out SimulatedWorld world);
        bool isTwice = broken is null && seed % 20 == 0;
        if (isTwice)
        {
            var again = new Trace(null);
            broken = RunOne(seed, crashes, again, out _) ?? (again.Hash == trace.Hash ? null : "two runs of one seed differ");
        }
        lock (sums)
        {
            sums.Crashes += world.Crashes;
            sums.Stored += world.Stored;
            sums.Dropped += world.Dropped;
            sums.Damaged += world.Damaged;
            sums.Twice += isTwice ? 1 : 0;
            if (broken is null)
            {
                sums.Passed++;
                return;
            }
            sums.Failed++;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {broken}\n  scripts/simulate --seed {seed} --crashes {crashes}"));
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "whatever escapes from the shipped code is a finding of this seed")]
    private static string? RunOne(int seed, int crashes, Trace trace, out SimulatedWorld world)
    {
        world = new SimulatedWorld(seed, trace);
        try
        {
            world.Run(crashes);
            return null;
        }
        catch (ViolationException violation)
        {
            return violation.Message;
        }
        catch (Exception error)
        {
            return error.ToString();
        }
    }
}
