using System.Diagnostics.Metrics;
using Bellwether.Core.Codec;
using Bellwether.Core.Model;
using Bellwether.Kit;
using Bellwether.Store;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Aggregator.Tests.Store;

/// <summary>Random batches, records, late samples, clashes, maintenance, power cuts and restarts against a dictionary.</summary>
public sealed class StoreModelTests
{
    [Fact]
    public void Nothing_committed_is_lost_or_doubled_whatever_happens()
    {
        int files = 0, samplesInFiles = 0, saved = 0;
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(60), Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            using var journey = new Journey(seed);
            journey.Run();
            files += journey.Files;
            samplesInFiles += journey.SamplesInFiles;
            saved += journey.OpenedSaved;
        }));
        Assert.True(files > 60 && samplesInFiles > 1000, $"only {files} chunk files with {samplesInFiles} samples: the journeys do not reach them");
        Assert.True(saved > 60, $"a saved head was opened {saved} times only");
    }

    private sealed class Journey : IDisposable
    {
        private readonly Random _random;
        private readonly VirtualTime _time = new();
        private readonly Meter _meter = new("store-model");
        private readonly StoreOptions _options = new()
        {
            Folder = "/store",
            Partition = TimeSpan.FromMinutes(10),
            PartitionGrace = TimeSpan.FromMinutes(2),
            Retention = TimeSpan.FromDays(60),
            MaxLateSamples = 100,
            HistorySamplesPerSeries = 0,
            MaxOpenSegments = 3,
            WalFileBytes = 16 << 10,
            SaveHeadSamples = 100,
            MinFreeBytes = 0,
        };

        private readonly Dictionary<(string Series, long Time), double> _sure = [];
        private readonly Dictionary<(string Series, long Time), List<double>> _maybe = [];
        private readonly HashSet<(string Series, long Time)> _possible = [];
        private readonly Agent[] _agents;
        private MemoryDisk _disk = new();
        private StoreEngine _store;

        public Journey(int seed)
        {
            _random = new Random(seed);
            _agents = [new Agent("a"), new Agent("b")];
            _store = Open();
        }

        public int Files { get; private set; }

        public int SamplesInFiles { get; private set; }

        public int OpenedSaved { get; private set; }

        public void Run()
        {
            for (int step = 0; step < 80; step++)
            {
                _time.Advance(TimeSpan.FromSeconds(_random.Next(1, 40)));
                Step(_random.Next(12));
            }
            Commit();
            Verify();
            Restart(crash: false);
            Verify();
            Files = _store.Blocks.Count;
            SamplesInFiles = (int)_store.Blocks.Files.Sum(f => f.Footer.Samples);
        }

        public void Dispose()
        {
            _store.Dispose();
            _meter.Dispose();
        }

        private void Step(int what)
        {
            switch (what)
            {
                case 0 or 1 or 2:
                    Append();
                    break;
                case 3 or 4 or 5 or 6:
                    Send(_agents[_random.Next(_agents.Length)]);
                    break;
                case 7 or 8:
                    Commit();
                    break;
                case 9:
                    _time.Advance(TimeSpan.FromMinutes(_random.Next(1, 15)));
                    Maintain();
                    break;
                case 10:
                    Restart(crash: _random.Next(2) == 0);
                    Verify();
                    break;
                default:
                    Verify(onlySure: false);
                    break;
            }
        }

        private void Append()
        {
            var batch = new SampleBatch();
            int count = _random.Next(1, 30);
            for (int i = 0; i < count; i++)
            {
                string name = "m" + _random.Next(6);
                long age = _random.Next(10) < 7 ? _random.Next(120) : _random.Next(40_000);
                Add(batch, name, (_time.NowMs / 1000 * 1000) - (age * 1000), Value());
            }
            _store.AppendBatch(batch);
        }

        private void Add(SampleBatch batch, string name, long time, double value)
        {
            batch.Samples.Add(new SeriesSample(Labels.Of("__name__", name), time, value));
            Note(name, time, value);
        }

        private double Value() => _random.Next(12) switch
        {
            0 => SpecialValues.StaleMarker,
            1 => double.NaN,
            2 => _random.NextDouble(),
            3 => double.NegativeInfinity,
            4 => -0.0,
            _ => _random.Next(5),
        };

        private void Note(string series, long time, double value)
        {
            if (!_maybe.TryGetValue((series, time), out List<double>? values))
                _maybe.Add((series, time), values = []);
            values.Add(value);
        }

        // A tick per call; what is not known to be held is sent again, from where the store says.
        private void Send(Agent agent)
        {
            agent.Tick(_time.NowMs - (_random.Next(4) == 0 ? _random.Next(3_000_000) : 0), _random, Note);
            bool last = agent.Records.Count >= 4 + _random.Next(4);
            SegmentProgress held = _store.HeldOf(agent.Key);
            ulong from = held.Resumable && _random.Next(5) > 0 ? held.Records : 0;
            RunResult result = _store.ApplyRun(new RecordRun(agent.Key, from, [.. agent.Records.Skip((int)from)], last));
            if (result.Outcome == RunOutcome.NeedsStart)
                result = _store.ApplyRun(new RecordRun(agent.Key, 0, [.. agent.Records], last));
            Assert.Equal(RunOutcome.Applied, result.Outcome);
            Assert.Empty(result.Refused);
            agent.Sent = agent.Records.Count;
            agent.NoteAll(Note);
            if (!last)
                return;
            Commit();
            Assert.True(_store.HeldOf(agent.Key).Complete);
            agent.StartSegment();
        }

        private void Commit()
        {
            _store.Commit();
            foreach (((string, long) key, List<double> values) in _maybe)
            {
                foreach (double value in values)
                    _sure[key] = _sure.TryGetValue(key, out double known) ? Winner(known, value) : value;
            }
            _maybe.Clear();
            foreach (Agent agent in _agents)
                agent.Committed = agent.Sent;
        }

        private void Maintain()
        {
            if (_random.Next(3) > 0)
            {
                _store.Maintain();
                _store.MergeFiles(CancellationToken.None);
                Verify(onlySure: false);
                return;
            }
            _disk.CutAfter = _random.Next(1, 60);
            try
            {
                _store.Maintain();
                _store.MergeFiles(CancellationToken.None);
            }
            catch (PowerCutException)
            {
                _disk.CutAfter = long.MaxValue;
                Restart(crash: true);
            }
            _disk.CutAfter = long.MaxValue;
        }

        private void Restart(bool crash)
        {
            if (!crash)
                Commit();
            if (crash)
                _disk = _disk.Crash(_random);
            _store.Dispose();
            _store = Open();
            OpenedSaved += _store.Opened.SavedHead ? 1 : 0;
            Assert.Equal(0, _store.Opened.UnreadableFrames);
            Settle();
            foreach (Agent agent in _agents)
            {
                Assert.True(_store.HeldOf(agent.Key).Records >= (ulong)agent.Committed, "a committed record is not held");
                agent.Sent = agent.Committed = (int)_store.HeldOf(agent.Key).Records;
            }
            CompareLedgers();
        }

        // Exactly what is held, whatever was sent twice, cut, checkpointed or replayed.
        private void CompareLedgers()
        {
            foreach (Agent agent in _agents)
            {
                int held = (int)_store.HeldOf(agent.Key).Records;
                StoredLedger? ledger = _store.Ledgers(agent.Key.Agent) is [var own, ..] ? own : null;
                Assert.Equal((agent.DoneRecords + held, agent.DoneSamples + agent.Counts.Take(held).Sum()), (ledger?.Records ?? 0, ledger?.Samples ?? 0));
                Assert.Equal(ledger?.Records ?? 0, ledger?.Sources.Sum(x => x.Ranges.Sum(r => r.Ticks)) ?? 0);
            }
        }

        private StoreEngine Open() => StoreEngine.Open(_options, _disk, _time, new Random(1), _meter, NullLogger.Instance);

        // After a crash of what was not committed any part may be there; from now on it is what it is.
        private void Settle()
        {
            Dictionary<(string, long), double> actual = Actual();
            foreach (((string, long) key, List<double> values) in _maybe)
            {
                bool was = _sure.TryGetValue(key, out double sure);
                if (!actual.TryGetValue(key, out double now))
                {
                    Assert.False(was);
                    continue;
                }
                Assert.True((was && Same(sure, now)) || values.Exists(v => Same(v, now)));
                _sure[key] = now;
            }
            _maybe.Clear();
            // Records that are not held come again: what they say may appear at any time.
            foreach (Agent agent in _agents)
                agent.NoteAll((series, time, value) => _possible.Add((series, time)));
            Compare(actual);
        }

        private void Verify(bool onlySure = true)
        {
            if (onlySure)
            {
                if (_maybe.Count > 0)
                    Commit();
                CompareLedgers();
            }
            Compare(Actual());
        }

        private void Compare(Dictionary<(string, long), double> actual)
        {
            foreach (((string, long) key, double value) in _sure)
            {
                Assert.True(actual.TryGetValue(key, out double now), $"{key} is lost");
                Assert.True(Same(value, now) || (_maybe.TryGetValue(key, out List<double>? values) && values.Exists(v => Same(v, now))), $"{key} is {now}, not {value}");
            }
            foreach ((string, long) key in actual.Keys)
                Assert.True(_sure.ContainsKey(key) || _maybe.ContainsKey(key) || _possible.Contains(key), $"{key} was never appended");
        }

        private Dictionary<(string, long), double> Actual()
        {
            var all = new Dictionary<(string, long), double>();
            using ISeriesSet set = _store.Reader.Select(long.MinValue, long.MaxValue, [], CancellationToken.None);
            var buffer = new SampleBuffer();
            for (int i = 0; i < set.Count; i++)
            {
                Assert.True(i == 0 || set.LabelsAt(i - 1).CompareTo(set.LabelsAt(i)) < 0);
                set.Read(i, buffer);
                for (int s = 0; s < buffer.Count; s++)
                    all.Add((set.LabelsAt(i).MetricName, buffer.Times[s]), buffer.Values[s]);
            }
            return all;
        }

        // Not the store's own rule: written from the design's words.
        private static double Winner(double a, double b)
        {
            if (Same(a, b) || SpecialValues.IsStale(b))
                return a;
            if (SpecialValues.IsStale(a) || double.IsNaN(a))
                return b;
            return double.IsNaN(b) || a > b || (a == b && !double.IsNegative(a)) ? a : b;
        }

        private static bool Same(double a, double b) => BitConverter.DoubleToInt64Bits(a) == BitConverter.DoubleToInt64Bits(b);
    }

    private sealed class Agent
    {
        private readonly SegmentEncoder _encoder = new();
        private readonly SourceTick _tick = new();
        private readonly SourceTable _table;
        private readonly string _id;
        private readonly List<(string Series, long Time, double Value)> _samples = [];
        private ulong _number;

        public Agent(string id)
        {
            _id = id;
            _table = new SourceTable(id, 1000);
            for (int i = 0; i < 5; i++)
                _table.Add(Labels.Of("__name__", id + i));
            StartSegment();
        }

        public SegmentKey Key => new(_id, 1, _number, 7);

        public List<ReadOnlyMemory<byte>> Records { get; } = [];

        public List<long> Counts { get; } = [];

        public long DoneRecords { get; private set; }

        public long DoneSamples { get; private set; }

        public int Committed { get; set; }

        public int Sent { get; set; }

        public void StartSegment()
        {
            _encoder.StartSegment(false);
            _number++;
            DoneRecords += Records.Count;
            DoneSamples += Counts.Sum();
            Records.Clear();
            Counts.Clear();
            _samples.Clear();
            Committed = 0;
            Sent = 0;
        }

        public void Tick(long time, Random random, Action<string, long, double> note)
        {
            _tick.Begin(_table, time);
            for (int i = 0; i < 5; i++)
            {
                if (random.Next(5) > 0)
                    _tick.Set(i, random.Next(3));
            }
            _tick.Complete();
            int before = _samples.Count;
            for (int i = 0; i < 5; i++)
            {
                bool ended = SourceTick.IsSet(_tick.Ended, i);
                if (!ended && !SourceTick.IsSet(_tick.Present, i))
                    continue;
                _samples.Add((_table[i].MetricName, time, ended ? SpecialValues.StaleMarker : _tick.Values[i]));
                note(_samples[^1].Series, time, _samples[^1].Value);
            }
            Assert.Equal(EncodeOutcome.Encoded, _encoder.Encode(_tick));
            Records.Add(_encoder.Record.ToArray());
            Counts.Add(_samples.Count - before);
        }

        public void NoteAll(Action<string, long, double> note)
        {
            foreach ((string series, long time, double value) in _samples)
                note(series, time, value);
        }
    }
}
