using Bellwether.Agent.Configuration;
using Bellwether.Agent.Spool;
using Bellwether.Agent.Stream;
using Bellwether.Core.Bundles;

namespace Bellwether.Agent.Bundles;

/// <summary>Takes a receipt that was carried back: what the aggregator holds is acknowledged, and frees the spool.</summary>
internal static class BundleReceipts
{
    private const long FileBytesMax = 64 << 20;

    /// <summary>Applies the receipt. Throws <see cref="IOException"/> when it cannot be read or is refused; then nothing was freed.</summary>
    /// <returns>The receipt, and how many segments it freed.</returns>
    public static (BundleReceipt Receipt, int Freed) Apply(string file, AgentConfig config, ISpool spool)
    {
        if (new FileInfo(file).Length > FileBytesMax)
            throw new IOException($"{file}: larger than a receipt can be ({FileBytesMax} bytes)");
        using System.Security.Cryptography.ECDsa key = BundleKeyFiles.ReceiptKey(config);
        BundleVerdict verdict = BundleReceipt.TryRead(File.ReadAllBytes(file), config.Agent.Id, key, out BundleReceipt? receipt);
        if (!verdict.IsGood)
            throw new IOException($"{file}: refused ({verdict.Outcome}): {verdict.Reason}");
        var before = new List<HeldSegment>();
        spool.ListHeld(before);
        foreach (BundleSegment held in receipt!.Held)
            spool.Acknowledge(new SegmentRef(held.Id.Epoch, held.Id.Number, held.Id.Nonce), held.Records, complete: true);
        var after = new List<HeldSegment>();
        spool.ListHeld(after);
        return (receipt, before.Count - after.Count);
    }
}
