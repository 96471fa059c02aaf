using System.Globalization;
using Bellwether.Core.Model;
using Bellwether.Core.Platform;
using Bellwether.Store.Blocks;
using Bellwether.Store.Chunks;
using Bellwether.Store.Exchange;
using Bellwether.Store.Head;

namespace Bellwether.Bench.Codec;

/// <summary>
/// The codec of chunk files: bytes per sample by kind of block and by part of the file, CPU time to encode, to decode and to pick a few samples, beside chunks as Prometheus writes them.
/// BELLWETHER_BENCH_SCRAPES names a folder of exposition texts, or a URL that is scraped each second BELLWETHER_BENCH_COUNT times; the generator of the other benches is always measured.
/// </summary>
internal sealed class CodecBench(TimeProvider time) : IBench
{
    /// <summary>Samples of a chunk: two hours at 30 s.</summary>
    private const int SamplesPerChunk = 240;

    private const int Rounds = 7;

    private static readonly TimeSpan s_warmUp = TimeSpan.FromMilliseconds(500);

    public string Name => "codec";

    public string Description => "bytes and ns per sample of chunk files by kind of block, beside Prometheus' chunks; BELLWETHER_BENCH_SCRAPES=FOLDER or =URL (BELLWETHER_BENCH_COUNT=240 scrapes, 1 s apart) adds real series";

    public async Task RunAsync(bool quick, Action<string> tell, CancellationToken cancel)
    {
        var recordings = new List<Recording> { Recording.OfGenerator(TimeSpan.FromDays(quick ? 1 : 30)) };
        if (Environment.GetEnvironmentVariable("BELLWETHER_BENCH_SCRAPES") is { Length: > 0 } from)
        {
            int count = int.TryParse(Environment.GetEnvironmentVariable("BELLWETHER_BENCH_COUNT"), CultureInfo.InvariantCulture, out int asked) ? asked : SamplesPerChunk;
            recordings.Add(Uri.TryCreate(from, UriKind.Absolute, out Uri? url) && url.Scheme != Uri.UriSchemeFile ? await Recording.OfTargetAsync(url, count, time, cancel) : Recording.OfFolder(from));
        }
        foreach (Recording recording in recordings)
        {
            cancel.ThrowIfCancellationRequested();
            Measure(recording, tell);
        }
    }

    private void Measure(Recording recording, Action<string> tell)
    {
        tell("");
        tell(string.Create(CultureInfo.InvariantCulture, $"{recording.Name}: {recording.Values.Length} series, {recording.Samples / 1e6:F2} M samples, chunks of {SamplesPerChunk}"));
        List<EncodedChunk> chunks = Chunks(recording);
        TellKinds(chunks, tell);
        TellParts(recording, chunks, tell);
        TellTimes(chunks, tell);
    }

    private static List<EncodedChunk> Chunks(Recording recording)
    {
        var writer = new ByteWriter();
        var chunks = new List<EncodedChunk>();
        foreach (double[] series in recording.Values)
        {
            for (int at = 0; at < series.Length; at += SamplesPerChunk)
            {
                ReadOnlyMemory<double> values = series.AsMemory(at, Math.Min(SamplesPerChunk, series.Length - at));
                writer.Clear();
                ValueBlock.Encode(values.Span, writer);
                chunks.Add(new EncodedChunk(values, recording.Times.AsMemory(at, values.Length), writer.Written.ToArray()));
            }
        }
        return chunks;
    }

    private void TellKinds(List<EncodedChunk> chunks, Action<string> tell)
    {
        tell("| values by kind of block | share of chunks, % | bytes per sample | decode, ns per sample |");
        tell("| --- | --- | --- | --- |");
        foreach (IGrouping<string, EncodedChunk> kind in chunks.GroupBy(static c => c.Kind).OrderBy(static g => g.Key, StringComparer.Ordinal))
        {
            List<EncodedChunk> some = [.. kind];
            tell(string.Create(CultureInfo.InvariantCulture, $"| {kind.Key} | {100.0 * some.Count / chunks.Count:F1} | {(double)some.Sum(static c => c.Bytes.Length) / some.Sum(static c => c.Values.Length):F3} | {NsPerSample(some, Decode):F2} |"));
        }
    }

    private void TellParts(Recording recording, List<EncodedChunk> chunks, Action<string> tell)
    {
        string folder = Directory.CreateTempSubdirectory("bellwether-codec-").FullName;
        try
        {
            (long whole, long index, long summaries, long times) = WriteFile(recording, folder);
            long values = chunks.Sum(static c => (long)c.Bytes.Length);
            void Row(string part, long bytes) => tell(string.Create(CultureInfo.InvariantCulture, $"| {part} | {(double)bytes / recording.Samples:F3} |"));
            tell("");
            tell("| part of one merged file | bytes per sample |");
            tell("| --- | --- |");
            Row("values", values);
            Row("times", times);
            Row("summaries and flags", summaries - values);
            Row("index", index);
            Row("checks, head, footer", whole - summaries - times - index);
            Row("**the file**", whole);
            Row("Prometheus' chunks of 120 (their times in them, without index)", Prometheus(chunks));
            TellFile(folder, tell);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // Two hours are a chunk; its bytes with and without what is not values come from the file's own index.
    private static (long Whole, long Index, long Chunks, long Times) WriteFile(Recording recording, string folder)
    {
        var disk = new OsDisk();
        var gather = new SampleGather();
        using (var writer = new BlockWriter(disk, folder, "0-00000000.chunks", []))
        {
            for (int s = 0; s < recording.Values.Length; s++)
            {
                Labels labels = Labels.Of("__name__", recording.Keys[s]);
                for (int at = 0; at < recording.Times.Length; at += SamplesPerChunk)
                {
                    int count = Math.Min(SamplesPerChunk, recording.Times.Length - at);
                    gather.Begin();
                    gather.Extend(count, out Span<long> times, out Span<double> values);
                    recording.Times.AsSpan(at, count).CopyTo(times);
                    recording.Values[s].AsSpan(at, count).CopyTo(values);
                    gather.Close(count, long.MinValue, long.MaxValue);
                    writer.Add(labels, gather);
                }
            }
            writer.Finish();
        }
        BlockFile file = BlockFile.Open(disk, folder, "0-00000000.chunks");
        try
        {
            BlockIndex index = file.Index(0);
            long chunks = 0, timesBytes = 0;
            var columns = new HashSet<long>();
            for (int c = 0; c < index.Count; c++)
            {
                chunks += index[c].Length;
                timesBytes += columns.Add(index[c].TimesOffset) ? index[c].TimesLength : 0;
            }
            return (file.Bytes, file.Footer.IndexBytes, chunks, timesBytes);
        }
        finally
        {
            file.Drop();
        }
    }

    // As long ranges at wide steps are read: of each chunk of a series, series by series, a few samples; and as close steps are: all.
    private void TellFile(string folder, Action<string> tell)
    {
        BlockFile file = BlockFile.Open(new OsDisk(), folder, "0-00000000.chunks");
        using var scratch = new ChunkScratch { ReadsAhead = true };
        var gather = new SampleGather();
        try
        {
            BlockIndex index = file.Index(0);
            double picked = NsEach(index.Count, c =>
            {
                if (!file.TryReadAt(index[c], scratch, Places(index[c].Count), s_picked))
                    throw new InvalidDataException("the file is damaged");
            });
            double read = NsEach(index.Count, c =>
            {
                gather.Begin();
                if (!file.TryRead(index[c], long.MinValue, long.MaxValue, scratch, gather))
                    throw new InvalidDataException("the file is damaged");
            });
            tell("");
            tell(string.Create(CultureInfo.InvariantCulture, $"Through the file: six samples of a chunk {picked:F0} ns; a whole chunk {read:F0} ns ({index.Count} chunks)"));
        }
        finally
        {
            file.Drop();
        }
    }

    private double NsEach(int count, Action<int> work)
    {
        var figures = new double[Rounds];
        long began = time.GetTimestamp();
        for (int round = -1; round < Rounds; round++)
        {
            TimeSpan before = Environment.CpuUsage.TotalTime;
            int times = 0;
            do
            {
                for (int c = 0; c < count; c++)
                    work(c);
                times++;
            }
            while (round < 0 && time.GetElapsedTime(began) < s_warmUp);
            if (round >= 0)
                figures[round] = (Environment.CpuUsage.TotalTime - before).TotalNanoseconds / ((double)count * times);
        }
        Array.Sort(figures);
        return figures[Rounds / 2];
    }

    private void TellTimes(List<EncodedChunk> chunks, Action<string> tell)
    {
        tell("");
        tell("| CPU, medians | ns per sample |");
        tell("| --- | --- |");
        tell(string.Create(CultureInfo.InvariantCulture, $"| encode values | {NsPerSample(chunks, Encode):F2} |"));
        tell(string.Create(CultureInfo.InvariantCulture, $"| decode values | {NsPerSample(chunks, Decode):F2} |"));
        tell(string.Create(CultureInfo.InvariantCulture, $"| pick six of a chunk (per sample of the chunk) | {NsPerSample(chunks, Pick):F2} |"));
        tell(string.Create(CultureInfo.InvariantCulture, $"| encode as Prometheus does | {NsPerSample(chunks, EncodeProm):F2} |"));
        tell(string.Create(CultureInfo.InvariantCulture, $"| decode what Prometheus writes | {NsPerSample(chunks, DecodeProm):F2} |"));
    }

    private static long Prometheus(List<EncodedChunk> chunks)
    {
        long bytes = 0;
        foreach (EncodedChunk chunk in chunks)
        {
            for (int at = 0; at < chunk.Values.Length; at += TsdbChunkWriter.MaxSamples)
                bytes += PrometheusChunk(chunk, at).Length;
        }
        return bytes;
    }

    private static ReadOnlySpan<byte> PrometheusChunk(EncodedChunk chunk, int at)
    {
        s_buffer.Clear();
        int count = Math.Min(TsdbChunkWriter.MaxSamples, chunk.Values.Length - at);
        for (int i = at; i < at + count; i++)
            s_buffer.Add(chunk.Times.Span[i], chunk.Values.Span[i]);
        s_prometheus.Write(s_buffer, 0, count, TsdbFormat.XorEncoding);
        return s_prometheus.Data;
    }

    // CPU time of this process over all chunks, often enough to be seen; the median of some rounds.
    private double NsPerSample(List<EncodedChunk> chunks, Action<EncodedChunk> work)
    {
        const int SomeChunks = 20_000;
        List<EncodedChunk> some = chunks.Count <= SomeChunks ? chunks : [.. chunks.Where((_, i) => i % ((chunks.Count / SomeChunks) + 1) == 0)];
        long samples = some.Sum(static c => (long)c.Values.Length);
        int times = (int)Math.Max(1, 2_000_000 / samples);
        var figures = new double[Rounds];
        // Until the compiler has made it as fast as it becomes.
        long began = time.GetTimestamp();
        for (int round = 0; round < Rounds || time.GetElapsedTime(began) < s_warmUp; round++)
            Once();
        for (int round = 0; round < Rounds; round++)
        {
            TimeSpan before = Environment.CpuUsage.UserTime;
            for (int i = 0; i < times; i++)
                Once();
            figures[round] = (Environment.CpuUsage.UserTime - before).TotalNanoseconds / (samples * times);
        }
        void Once()
        {
            foreach (EncodedChunk chunk in some)
                work(chunk);
        }
        Array.Sort(figures);
        return figures[Rounds / 2];
    }

    private static readonly ByteWriter s_writer = new(1 << 12);
    private static readonly double[] s_values = new double[SamplesPerChunk];
    private static readonly double[] s_picked = new double[6];
    private static readonly int[] s_places = new int[6];
    private static readonly TsdbChunkWriter s_prometheus = new();
    private static readonly SampleBuffer s_buffer = new();
    private static readonly List<SeriesSample> s_samples = [];

    private static void Encode(EncodedChunk chunk)
    {
        s_writer.Clear();
        ValueBlock.Encode(chunk.Values.Span, s_writer);
    }

    private static void Decode(EncodedChunk chunk)
    {
        var reader = new ByteReader(chunk.Bytes);
        ValueBlock.Decode(ref reader, s_values.AsSpan(0, chunk.Values.Length));
    }

    private static void Pick(EncodedChunk chunk)
    {
        var reader = new ByteReader(chunk.Bytes);
        int n = chunk.Values.Length;
        ValueBlock.DecodeAt(ref reader, Places(n), s_picked, s_values.AsSpan(0, n));
    }

    // The edges of windows of five minutes each hour.
    private static int[] Places(int count)
    {
        (s_places[0], s_places[1], s_places[2]) = (count * 2 / 5, (count * 2 / 5) + 1, count / 2);
        (s_places[3], s_places[4], s_places[5]) = (count * 9 / 10, (count * 9 / 10) + 1, count - 1);
        return s_places;
    }

    private static void EncodeProm(EncodedChunk chunk)
    {
        for (int at = 0; at < chunk.Values.Length; at += TsdbChunkWriter.MaxSamples)
            PrometheusChunk(chunk, at);
    }

    private static void DecodeProm(EncodedChunk chunk)
    {
        chunk.Prometheus ??= [.. Enumerable.Range(0, (chunk.Values.Length + TsdbChunkWriter.MaxSamples - 1) / TsdbChunkWriter.MaxSamples).Select(i => PrometheusChunk(chunk, i * TsdbChunkWriter.MaxSamples).ToArray())];
        foreach (byte[] one in chunk.Prometheus)
        {
            s_samples.Clear();
            TsdbChunk.Read(TsdbFormat.XorEncoding, one, Labels.Empty, s_samples);
        }
    }

    /// <summary>A chunk's values, times and value block.</summary>
    private sealed record EncodedChunk(ReadOnlyMemory<double> Values, ReadOnlyMemory<long> Times, byte[] Bytes)
    {
        private static readonly string[] s_modes = ["differences, zigzag", "differences of differences", "distances from the smallest", "differences from the smallest one"];

        public byte[][]? Prometheus { get; set; }

        public string Kind => (Bytes[0] & 0x7F) switch
        {
            0 or 1 => "constant",
            2 => "integers: " + Mode(2),
            3 => "XOR by bytes",
            4 => "bits: " + Mode(1),
            _ => "unknown",
        };

        private string Mode(int at)
        {
            var reader = new ByteReader(Bytes.AsSpan(at));
            reader.Zigzag();
            byte form = reader.Byte();
            return s_modes[form & 3] + ((form & 4) != 0 ? ", divided" : "");
        }
    }
}
