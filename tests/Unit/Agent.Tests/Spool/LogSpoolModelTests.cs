using System.Diagnostics.Metrics;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Codec;
using Bellwether.Core.Durable;
using Bellwether.Kit;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Agent.Tests.Spool;

/// <summary>Random appends, syncs, faults, crashes and acknowledgements against a list in memory.</summary>
public sealed class LogSpoolModelTests : LogSpoolSite
{
    [Fact]
    public void Nothing_synced_is_lost_nothing_comes_twice_and_every_record_decodes() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), operations => new Scenario(operations).Run())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(250).WithEndSize(120));

    private sealed class Scenario(int[] operations) : IDisposable
    {
        private readonly Meter _meter = new("test");
        private readonly FaultyDisk _disk = new(new Random(operations.Length > 0 ? operations[0] : 0));
        private readonly Random _random = new(operations.Length);
        private readonly SpoolTicks _ticks = new();
        private readonly Dictionary<long, double> _appended = [];
        private readonly HashSet<long> _waiting = [];
        private readonly HashSet<long> _durable = [];
        private LogSpool _spool = null!;

        public void Dispose() => _meter.Dispose();

        public bool Run()
        {
            Reopen();
            foreach (int operation in operations)
            {
                try
                {
                    Do(operation & 0x7FFFFFFF);
                    CheckLedger();
                }
                catch (PowerCutException)
                {
                    _disk.Crash();
                    Reopen();
                }
            }
            _disk.Crash();
            Reopen();
            Dispose();
            return true;
        }

        private void Do(int operation)
        {
            switch (operation % 16)
            {
                case < 6: Append(); break;
                case < 9: Sync(); break;
                case 9: Fail(DiskCall.Write, 1 + (operation / 16 % 3)); break;
                case 10: Fail(DiskCall.Sync, 1 + (operation / 16 % 3)); break;
                case 11: _disk.PowerCutAt = _disk.Changes + 1 + (operation / 16 % 12); break;
                case 12: Restart(onlyProcess: true); break;
                case 13: Restart(onlyProcess: false); break;
                case 14:
                    _spool.StartSegment();
                    break;
                default: Acknowledge(operation / 16); break;
            }
        }

        private void Append()
        {
            SourceTick tick = _ticks.Next();
            Assert.Equal(SpoolAppend.Appended, _spool.Append(tick));
            _appended[tick.TimestampMs] = tick.Values[0];
            _waiting.Add(tick.TimestampMs);
        }

        private void Sync()
        {
            if (_spool.Sync() != LogSync.Durable)
                return;
            _durable.UnionWith(_waiting);
            _waiting.Clear();
        }

        private void Fail(DiskCall call, int times)
        {
            int left = times;
            _disk.Fault = (c, path) => c == call && path.EndsWith(".seg", StringComparison.Ordinal) && left-- > 0;
        }

        private void Restart(bool onlyProcess)
        {
            _disk.Crash(onlyProcess);
            Reopen();
        }

        private void Acknowledge(int pick)
        {
            List<SpooledSegment> segments = List(_spool);
            if (segments.Count == 0)
                return;
            SpooledSegment segment = segments[pick % segments.Count];
            foreach ((long time, double _) in Decode(ReadAll(_spool, segment, 0)))
            {
                // It may be gone from now on, or come back after a crash: never must.
                _durable.Remove(time);
                _waiting.Remove(time);
            }
            _spool.Acknowledge(segment.Id, segment.Records, segment.Closed);
            _acknowledged[segment.Id] = segment.Records;
        }

        /// <summary>What is held by source and record must be what the ledger says is buffered; and nothing is ever counted twice.</summary>
        private void CheckLedger()
        {
            var ledger = new List<SourceLedger>();
            _spool.ListLedger(ledger);
            long held = 0;
            foreach (SpooledSegment segment in List(_spool))
            {
                foreach (ReadOnlyMemory<byte> record in ReadAll(_spool, segment, 0).Skip((int)(_acknowledged.GetValueOrDefault(segment.Id))))
                {
                    RecordHeader.TryRead(record.Span, CodecLimits.Default, out RecordHeader header);
                    held += header.Samples;
                }
            }
            Assert.True(ledger.Sum(l => l.Buffered.Samples) >= held);
            Assert.All(ledger, l => Assert.True(l.Spooled >= l.Buffered.Samples && l.Produced >= l.Spooled));
        }

        private readonly Dictionary<SegmentRef, ulong> _acknowledged = [];

        private void Reopen()
        {
            _disk.Fault = null;
            _disk.PowerCutAt = long.MaxValue;
            _spool = LogSpool.Open(_disk, "/spool", new SpoolOptions { SegmentBytes = 2048 }, _ticks, _random, _meter);
            var found = new HashSet<long>();
            foreach (SpooledSegment segment in List(_spool))
            {
                Assert.True(segment.Closed);
                foreach ((long time, double value) in Decode(ReadAll(_spool, segment, 0)))
                {
                    Assert.True(found.Add(time), "a record came twice");
                    Assert.Equal(_appended[time], value);
                }
            }
            Assert.Superset(_durable, found);
            _waiting.Clear();
            _durable.Clear();
            _durable.UnionWith(found);
        }
    }
}
