using System.Globalization;
using Bellwether.Bench.Store;

namespace Bellwether.Bench.Query;

/// <summary>Puts one history into all servers.</summary>
internal static class Loading
{
    public static async Task<History> LoadAsync(IReadOnlyList<QueryServer> servers, bool quick, TimeProvider time, Action<string> tell, CancellationToken cancel)
    {
        History Make() => new(time.GetUtcNow().ToUnixTimeMilliseconds() / 3_600_000 * 3_600_000, TimeSpan.FromDays(30), TimeSpan.FromSeconds(quick ? 120 : 30));
        History history = Make();
        tell(string.Create(CultureInfo.InvariantCulture, $"{history.Series} series, 30 days at {history.IntervalMs / 1000} s: {history.Samples / 1e6:F1} M samples"));
        foreach (QueryServer server in servers)
        {
            history = Make();
            double before = server.CpuSeconds;
            for (ReadOnlyMemory<byte> body = history.Next(); !body.IsEmpty; body = history.Next())
                await server.WriteAsync(body, cancel);
            await server.SettleAsync(cancel);
            long bytes = new DirectoryInfo(server.Folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(f => f.Length);
            tell(string.Create(CultureInfo.InvariantCulture, $"{server.Name}: loaded and settled, CPU s per million samples {(server.CpuSeconds - before) / history.Samples * 1e6:F2}, disk bytes per sample {(double)bytes / history.Samples:F2}, RSS {server.RssMb:F0} MB"));
        }
        // Ours puts the last of it into files a minute after it came, and merges them.
        await Task.Delay(StoreBench.UntilFilesAreMerged, time, cancel);
        foreach (QueryServer server in servers)
            await server.SettleAsync(cancel);
        return history;
    }
}
