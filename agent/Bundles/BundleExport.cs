using System.Security.Cryptography;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Bundles;
using Bellwether.Core.Durable;
using Bellwether.Core.Platform;
using Google.Protobuf;

namespace Bellwether.Agent.Bundles;

/// <summary>What to export.</summary>
/// <param name="File">Where to.</param>
/// <param name="SinceMs">Records from this time on, Unix ms; rounded outwards to whole segments.</param>
/// <param name="UntilMs">Records up to this time, Unix ms; rounded outwards.</param>
/// <param name="VolumeBytes">Size of one file; 0: one file.</param>
internal sealed record BundleRequest(string File, long SinceMs, long UntilMs, long VolumeBytes);

/// <summary>Who exports.</summary>
/// <param name="Agent">The agent's id.</param>
/// <param name="Version">The program's version.</param>
/// <param name="Key">Signs.</param>
/// <param name="Recipient">Whom the records are encrypted for; null: nobody.</param>
internal sealed record BundleIdentity(string Agent, string Version, ECDsa Key, ECDsa? Recipient) : IDisposable
{
    public void Dispose()
    {
        Key.Dispose();
        Recipient?.Dispose();
    }
}

/// <summary>What was exported.</summary>
/// <param name="Files">The files.</param>
/// <param name="Manifest">What they carry.</param>
/// <param name="Bytes">Their bytes.</param>
internal sealed record BundleExported(IReadOnlyList<string> Files, BundleManifest Manifest, long Bytes);

/// <summary>
/// Writes what the spool holds into a bundle: whole segments, the records as they are. The live segment is closed first, so that all there is can be carried. What the aggregator
/// takes by wire meanwhile is left out; nothing is freed here: only a receipt or an acknowledgement does that.
/// </summary>
internal sealed class BundleExport(ISpool spool, IDisk disk, TimeProvider time, Random random)
{
    private const int ReadBytes = 1 << 20;

    /// <summary>Exports. Throws <see cref="IOException"/> when the spool cannot be read or the files not be written; then nothing is left of them.</summary>
    /// <param name="request">What.</param>
    /// <param name="identity">Who.</param>
    /// <param name="announced">What was carried before and may not have come.</param>
    /// <param name="progress">Told (bytes of records done, of how many).</param>
    public BundleExported Run(BundleRequest request, BundleIdentity identity, IReadOnlyList<BundleSegment> announced, Action<long, long>? progress = null)
    {
        spool.StartSegment();
        if (spool.Sync() != LogSync.Durable)
            throw new IOException("the spool cannot be made durable now; try again");
        var held = new List<HeldSegment>();
        spool.ListHeld(held);
        List<HeldSegment> wanted = held.FindAll(s => s.Closed && s.Records > 0 && s.OldestMs <= request.UntilMs && s.NewestMs >= request.SinceMs);
        long of = wanted.Sum(s => s.Bytes), done = 0;
        Span<byte> id = stackalloc byte[16];
        random.NextBytes(id);
        using var writer = new BundleWriter(disk, new BundleTarget(request.File, new Guid(id), request.VolumeBytes, identity.Recipient));
        var carried = new List<BundleSegment>();
        var ids = new HashSet<SegmentRef>();
        foreach (HeldSegment segment in wanted)
        {
            if (!TryCarry(writer, segment, bytes => progress?.Invoke(done += bytes, of)))
                continue;
            carried.Add(Told(segment));
            ids.Add(segment.Id);
        }
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        BundleManifest manifest = writer.Finish(new BundleManifest
        {
            Bundle = default,
            Agent = identity.Agent,
            Version = identity.Version,
            CreatedMs = nowMs,
            Segments = carried,
            // Where the report is read, what the bundle carries is there.
            Report = spool is ISpoolLedger ledger ? ReportTeller.Whole(ledger, nowMs, ids).ToByteArray() : [],
            Announced = [.. announced, .. held.Except(wanted).Where(s => s.Records > 0).Select(Told)],
        }, identity.Key);
        return new BundleExported(writer.Files, manifest, writer.Bytes);
    }

    private bool TryCarry(BundleWriter writer, HeldSegment segment, Action<long> progress)
    {
        var records = new List<ReadOnlyMemory<byte>>();
        for (ulong next = 0; next < segment.Records;)
        {
            records.Clear();
            if (!spool.TryRead(segment.Id, next, ReadBytes, records))
                return false; // acknowledged or dropped since
            if (records.Count == 0)
                throw new IOException($"segment {segment.Id.Epoch}/{segment.Id.Number} of the spool cannot be read now; try again");
            ulong first = next;
            next += (ulong)records.Count;
            writer.Add(Named(segment.Id), first, records, last: next == segment.Records);
            progress(records.Sum(r => (long)r.Length));
        }
        return true;
    }

    private static BundleSegment Told(HeldSegment segment) => new(Named(segment.Id), segment.Records, segment.OldestMs, segment.NewestMs);

    private static BundleSegmentId Named(SegmentRef id) => new(id.Epoch, id.Number, id.Nonce);
}
