using Bellwether.Core.Model;
using System.Diagnostics.Metrics;
using Bellwether.Ingest;
using Bellwether.Kit;
using Bellwether.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Simulation;

/// <summary>The machine with the aggregator: its disk, clock and process. The process is what ships below the transport, but for the writer's thread. Not thread-safe.</summary>
internal sealed class SimulatedAggregator : IRecordStore
{
    private static readonly StoreOptions s_options = new()
    {
        Folder = "/store",
        Partition = TimeSpan.FromMinutes(10),
        PartitionGrace = TimeSpan.FromMinutes(2),
        Retention = TimeSpan.FromDays(60),
        MaxLateSamples = 300,
        HistorySamplesPerSeries = 0,
        MaxOpenSegments = 4,
        WalFileBytes = 16 << 10,
        MinFreeBytes = 4 << 10,
        SaveHeadSamples = 300,
    };

    private readonly Random _random;
    private readonly Queue<(Link? Link, HandedRun Run)> _queue = new();
    private readonly List<(Link? Link, HandedRun Run, RunResult? Result)> _group = [];
    private GroupCommit? _commit;
    private Meter? _meter;

    public SimulatedAggregator(int seed)
    {
        _random = new Random(seed);
        Disk = new FaultyDisk(new Random(seed + 1));
    }

    public FaultyDisk Disk { get; }

    public VirtualTime Clock { get; } = new();

    public IngestOptions Ingest { get; } = new() { MaxBatchBytes = 600, WindowBytes = 3000 };

    public StoreEngine? Engine { get; private set; }

    public AgentFleet? Fleet { get; private set; }

    public int Queued => _queue.Count;

    public string StoreId => Engine!.StoreId;

    public SegmentProgress HeldOf(SegmentKey segment) => Engine!.HeldOf(segment);

    public ValueTask<RunResult> ApplyAsync(RecordRun run, CancellationToken cancellation) => throw new NotSupportedException("the simulation applies by itself");

    public void Start()
    {
        _meter = new Meter("aggregator");
        Engine = StoreEngine.Open(s_options, Disk, Clock, new Random(_random.Next()), _meter, NullLogger.Instance);
        _commit = new GroupCommit(Engine, s_options, NullLogger.Instance);
        Fleet = new AgentFleet(Ingest, Clock, _meter);
    }

    public void Stop(bool inOrder)
    {
        if (inOrder)
            Engine?.Dispose();
        Engine = null;
        Fleet = null;
        _queue.Clear();
        _group.Clear();
        _meter?.Dispose();
        _meter = null;
    }

    /// <summary>A run waits for the writer; without a link it was carried here by hand.</summary>
    public void Hand(Link? link, HandedRun run) => _queue.Enqueue((link, run));

    /// <summary>One turn of the writer: a group applied, made durable, answered.</summary>
    public void RunGroup(int atMost)
    {
        _group.Clear();
        StoreUnavailableException? refusal = _commit!.Begin();
        while (_group.Count < atMost && _commit.HasRoomFor(_group.Count) && _queue.TryDequeue(out (Link? Link, HandedRun Run) next))
            _group.Add((next.Link, next.Run, refusal is null ? Engine!.ApplyRun(next.Run.Run) : null));
        refusal ??= _commit.End();
        foreach ((Link? link, HandedRun run, RunResult? result) in _group)
            link?.Done.Enqueue((run, refusal is null ? result! : new RunResult(RunOutcome.Unavailable, Engine!.HeldOf(run.Run.Segment), [], [], refusal.Message)));
        _group.Clear();
    }
}
