using Bellwether.Core.Durable;
using Bellwether.Kit;
using FsCheck;
using FsCheck.Fluent;

namespace Bellwether.Core.Tests.Durable;

/// <summary>The log against a list in memory, on a disk that loses, tears and fails.</summary>
public sealed class SegmentLogModelTests
{
    [Fact]
    public void Nothing_synced_is_lost_nothing_comes_twice_and_no_wrong_bytes_come_back() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), operations => new Scenario(operations).Run())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(600).WithEndSize(120));

    private sealed class Scenario(int[] operations)
    {
        private readonly FaultyDisk _disk = new(new Random(operations.Length > 0 ? operations[0] : 0));
        private readonly Random _random = new(operations.Length);
        private readonly SortedDictionary<ulong, byte[]> _durable = [];
        private readonly SortedDictionary<ulong, byte[]> _pending = [];
        private ulong _freedBelow;
        private SegmentLog _log = null!;

        public bool Run()
        {
            Reopen();
            foreach (int operation in operations)
            {
                try
                {
                    Do(operation & 0x7FFFFFFF);
                }
                catch (PowerCutException)
                {
                    _disk.Crash();
                    Reopen();
                }
            }
            _disk.Crash();
            Reopen();
            return true;
        }

        private void Do(int operation)
        {
            switch (operation % 16)
            {
                case < 6: Append(_random.Next(1200)); break;
                case < 9: Sync(); break;
                case 9: FailSome(_disk, DiskCall.Write, 1 + (operation / 16 % 3)); break;
                case 10: FailSome(_disk, DiskCall.Sync, 1 + (operation / 16 % 3)); break;
                case 11: _disk.PowerCutAt = _disk.Changes + 1 + (operation / 16 % 12); break;
                case 12:
                    _disk.Crash(onlyProcess: true);
                    Reopen();
                    break;
                case 13:
                    _disk.Crash();
                    Reopen();
                    break;
                case 14:
                    if (_log.Rotate() == LogSync.Durable)
                        Settle();
                    break;
                default: Free(operation / 16); break;
            }
        }

        private void Append(int bytes)
        {
            byte[] payload = new byte[bytes];
            _random.NextBytes(payload);
            Assert.Equal(LogAppend.Appended, _log.Append(7, payload, out ulong sequence));
            _pending[sequence] = payload;
        }

        private void Sync()
        {
            if (_log.Sync() == LogSync.Durable)
                Settle();
        }

        private void Settle()
        {
            foreach ((ulong sequence, byte[] payload) in _pending)
                _durable[sequence] = payload;
            _pending.Clear();
        }

        private void Free(int pick)
        {
            if (_durable.Count == 0)
                return;
            ulong below = _durable.Keys.ElementAt(pick % _durable.Count);
            _freedBelow = Math.Max(_freedBelow, below); // first: the power may go while it is done
            _log.FreeBelow(below);
        }

        private void Reopen()
        {
            _disk.Fault = null;
            _disk.PowerCutAt = long.MaxValue;
            var found = new List<(ulong Sequence, byte[] Payload)>();
            _log = SegmentLog.Open(_disk, "/log", new SegmentLogOptions { FileBytes = 4096, SpareFiles = 1 }, TimeProvider.System, _random,
                (kind, sequence, file, payload) => found.Add((sequence, payload.ToArray())));
            CheckFound(found);
            CheckReader(found);
            _durable.Clear();
            _pending.Clear();
            foreach ((ulong sequence, byte[] payload) in found)
                _durable[sequence] = payload;
            Assert.True(found.Count == 0 || _log.NextSequence > found[^1].Sequence);
        }

        private void CheckFound(List<(ulong Sequence, byte[] Payload)> found)
        {
            for (int i = 0; i < found.Count; i++)
            {
                ulong sequence = found[i].Sequence;
                Assert.True(i == 0 || sequence > found[i - 1].Sequence, "a frame came twice or out of order");
                bool known = _durable.TryGetValue(sequence, out byte[]? payload) || _pending.TryGetValue(sequence, out payload);
                Assert.True(known || sequence < _freedBelow, "a frame that nobody appended");
                if (known)
                    Assert.Equal(payload, found[i].Payload);
            }
            HashSet<ulong> there = [.. found.Select(f => f.Sequence)];
            foreach (ulong sequence in _durable.Keys)
                Assert.True(sequence < _freedBelow || there.Contains(sequence), $"durable frame {sequence} is gone");
            // What was not synced may be there, but without holes.
            ulong[] extra = [.. _pending.Keys.Where(there.Contains)];
            Assert.Equal(_pending.Keys.Take(extra.Length), extra);
            Assert.DoesNotContain(_log.Report.Lost, l => l.NextSequence > l.FirstSequence);
        }

        private void CheckReader(List<(ulong Sequence, byte[] Payload)> found)
        {
            using LogReader reader = _log.Read();
            foreach ((ulong sequence, byte[] payload) in found)
            {
                Assert.Equal(LogRead.Frame, reader.MoveNext());
                Assert.Equal(sequence, reader.Sequence);
                Assert.True(reader.Payload.SequenceEqual(payload));
            }
            Assert.Equal(LogRead.End, reader.MoveNext());
        }
    }

    internal static void FailSome(FaultyDisk disk, DiskCall call, int times)
    {
        int left = times;
        disk.Fault = (c, _) => c == call && left-- > 0;
    }
}
