using System.Globalization;
using Bellwether.Kit.Live;

namespace Bellwether.Prove;

/// <summary>Faults of the operating system one after the other, each on a running program that must live through it and deliver fresh samples soon after.</summary>
internal sealed class FaultPhase(ProveSite site, LedgerTargets targets, ProveOptions options, Chaos chaos, TimeProvider time, Action<string> tell)
{
    private static readonly TimeSpan s_recoveryMax = TimeSpan.FromSeconds(120);

    /// <summary>Runs <see cref="ProveOptions.Faults"/> faults.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        var random = new Random(options.Seed);
        SystemFault[] faults = [.. SystemFault.All.Where(f => options.Only is not { } text || f.Name.Contains(text, StringComparison.OrdinalIgnoreCase))];
        if (faults.Length == 0)
            throw new InvalidOperationException($"no fault is named '{options.Only}'; there are: {string.Join("; ", SystemFault.All.Select(f => f.Name).Distinct())}");
        SystemFault[] order = [];
        for (int n = 0; n < options.Faults; n++)
        {
            int at = n % faults.Length;
            if (at == 0)
            {
                order = [.. faults];
                random.Shuffle(order);
            }
            SystemFault fault = order[at];
            int agent = random.Next(options.Agents);
            Running program = fault.OnAgent ? site.Agents[agent]! : site.Aggregator!;
            string name = fault.OnAgent ? $"agent-{agent}" : "the aggregator";
            DateTimeOffset from = time.GetUtcNow();
            await fault.BefallAsync(program, fault.Kind == FaultKind.Stop ? options.StopMax : options.FaultLength, time, cancel);
            long over = time.GetTimestamp();
            if (await HasLostItsRuntimeAsync(fault, program, cancel))
            {
                chaos.NoteDeath(fault.OnAgent ? agent : null, program.EndedMs);
                if (fault.OnAgent)
                    site.StartAgent(agent);
                else
                    site.StartAggregator();
                name += ", whose runtime could not make a thread, and which was started again";
            }
            int[] answered = [.. targets.All.Select(t => t.Entries.Length)];
            await FreshAsync(fault, name, answered, cancel);
            tell(string.Create(CultureInfo.InvariantCulture, $"{n + 1,4} of {options.Faults}  {from:HH:mm:ss.fff}  {name}: {fault.Name}; fresh samples of every target {time.GetElapsedTime(over).TotalSeconds:F1} s after"));
        }
    }

    /// <summary>
    /// Whether the runtime ended the program: .NET opens a pipe for every thread that it makes, and where its thread pool cannot have one more when it needs one, which is on a busy machine, it ends the
    /// process with 'Out of memory.', whatever the program does. A service is started again then; nothing may be lost by it. Every other end is a failure.
    /// </summary>
    private async Task<bool> HasLostItsRuntimeAsync(SystemFault fault, Running program, CancellationToken cancel)
    {
        const string lastWord = "Out of memory.";
        // It may just be about to end.
        for (int look = 0; look < 100 && fault.Kind == FaultKind.OpenFiles && (look < 5 || program.Output.Contains(lastWord, StringComparison.Ordinal)); look++)
        {
            if (program.HasExited)
            {
                using var soon = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                soon.CancelAfter(s_recoveryMax);
                // Its output to the end.
                await program.EndedAsync(soon.Token);
                return program.Output.Contains(lastWord, StringComparison.Ordinal);
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
        }
        return false;
    }

    /// <summary>Waits until a scrape of every target that began after the fault is stored.</summary>
    private async Task FreshAsync(SystemFault fault, string name, int[] answered, CancellationToken cancel)
    {
        long began = time.GetTimestamp();
        while (true)
        {
            Chaos.MustRun(site.Aggregator!, $"after '{fault.Name}' on {name}: the aggregator");
            for (int agent = 0; agent < options.Agents; agent++)
                Chaos.MustRun(site.Agents[agent]!, $"after '{fault.Name}' on {name}: agent-{agent}");
            if (await IsFreshAsync(answered, cancel))
                return;
            if (time.GetElapsedTime(began) > s_recoveryMax)
                throw new InvalidOperationException($"no fresh samples {s_recoveryMax.TotalSeconds:F0} s after '{fault.Name}' on {name}\n{site.Aggregator!.Output}\n{string.Join('\n', site.Agents.Select(a => a!.Output))}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
        }
    }

    private async Task<bool> IsFreshAsync(int[] answered, CancellationToken cancel)
    {
        try
        {
            int fresh = 0;
            foreach (StoredSeries series in await site.Store.NewestAsync("ledger_value{i=\"0\"}", cancel))
            {
                if (LedgerTargets.Read(series.Samples[0].Value) is { } read && read.Scrape > answered[read.Target])
                    fresh++;
            }
            return fresh == answered.Length;
        }
        catch (HttpRequestException)
        {
            return false;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
