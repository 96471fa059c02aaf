using System.Buffers.Binary;
using System.Security.Cryptography;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Bundles;

/// <summary>A run of records of one segment, as <see cref="BundleReader.NextRun"/> gives it. The records are valid until the next call.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="First">Index of the first record.</param>
/// <param name="Records">The records as they were put down.</param>
/// <param name="Last">None follows in the segment.</param>
public sealed record BundleRun(BundleSegmentId Segment, ulong First, IReadOnlyList<ReadOnlyMemory<byte>> Records, bool Last);

/// <summary>Whom a reader trusts.</summary>
/// <param name="KeyOf">The public key of an agent; null: the agent is not known here.</param>
/// <param name="Own">Reads what was encrypted for us; null: nothing was.</param>
public sealed record BundleTrust(Func<string, ECDsa?> KeyOf, ECDsa? Own = null);

/// <summary>
/// Reads a bundle's files, which may come from anybody: <see cref="Verify"/> reads all of them once, checks every length, hash and the signature, and only then records may be read.
/// No name is taken from the content, no length is believed before it was compared with the limits and with what is there. Memory is one block and the manifest. Not thread-safe.
/// </summary>
public sealed class BundleReader : IDisposable
{
    private const int ReadBytes = 256 << 10;
    private readonly IDisk _disk;
    private readonly IReadOnlyList<string> _paths;
    private readonly BundleLimits _limits;
    private readonly List<(IDiskFile File, string Path)> _volumes = [];
    private BundleManifest? _manifest;
    private AesGcm? _cipher;
    private int _volume;
    private long _at;
    private ulong _index;

    /// <summary>Nothing is read yet.</summary>
    /// <param name="disk">Where the files lie.</param>
    /// <param name="paths">All files of one bundle, in any order.</param>
    /// <param name="limits">Null: the defaults.</param>
    public BundleReader(IDisk disk, IReadOnlyList<string> paths, BundleLimits? limits = null)
    {
        _disk = disk;
        _paths = paths;
        _limits = limits ?? new BundleLimits();
    }

    /// <summary>What the bundle says of itself, once <see cref="Verify"/> was good.</summary>
    public BundleManifest Manifest => _manifest ?? throw new InvalidOperationException("BUG: the bundle was not verified");

    /// <summary>Bytes of all files.</summary>
    public long Bytes { get; private set; }

    /// <summary>Reads one file's header: which bundle, which of its files (1-based). Throws <see cref="IOException"/> when it cannot be read.</summary>
    public static BundleVerdict TryIdentify(IDisk disk, string path, out Guid bundle, out uint volume)
    {
        using IDiskFile file = disk.Open(path, DiskOpen.ReadOnly);
        Span<byte> header = stackalloc byte[BundleFormat.HeaderBytes];
        int read = file.Read(0, header);
        return BundleFormat.ReadHeader(header[..read], out bundle, out volume, out _);
    }

    /// <summary>Checks the whole bundle. Throws <see cref="IOException"/> when a file cannot be read; everything that may be wrong with the content is a verdict.</summary>
    /// <param name="trust">Whom to trust.</param>
    /// <param name="progress">Told the bytes read so far.</param>
    public BundleVerdict Verify(BundleTrust trust, Action<long>? progress = null)
    {
        BundleVerdict verdict = OpenVolumes(out Guid bundle, out bool encrypted);
        if (!verdict.IsGood)
            return verdict;
        var found = new List<BundleVolume>();
        byte[]? manifestBlock = null;
        long done = 0;
        for (int i = 0; i < _volumes.Count; i++)
        {
            verdict = Scan(i, ref _index, found, ref manifestBlock, n => progress?.Invoke(done += n));
            if (!verdict.IsGood)
                return verdict;
            if (manifestBlock is not null && i + 1 < _volumes.Count)
                return new BundleVerdict(BundleOutcome.Altered, $"{_volumes[i].Path} ends the bundle, but there are later files of it");
        }
        if (manifestBlock is null)
            return new BundleVerdict(BundleOutcome.Cut, $"file {_volumes.Count + 1} of the bundle, which follows {_volumes[^1].Path}, is missing");
        verdict = CheckManifest(manifestBlock, bundle, encrypted, found, trust);
        if (!verdict.IsGood)
            return verdict;
        progress?.Invoke(Bytes); // headers and what stands at the end of each file are not blocks
        _volume = 0;
        _at = BundleFormat.HeaderBytes;
        _index = 0;
        return BundleVerdict.Good;
    }

    /// <summary>
    /// The next run, or null at the end. Throws <see cref="InvalidDataException"/> when the bytes are not those that were verified (the medium changed under us), <see cref="IOException"/>
    /// when they cannot be read.
    /// </summary>
    public BundleRun? NextRun()
    {
        Span<byte> header = stackalloc byte[BundleFormat.BlockHeaderBytes];
        while (_volume < _volumes.Count)
        {
            ReadExactly(_at, header);
            int length = BinaryPrimitives.ReadInt32LittleEndian(header);
            switch (header[4])
            {
                case BundleFormat.ContinuedKind:
                    _volume++;
                    _at = BundleFormat.HeaderBytes;
                    _index++;
                    continue;
                case BundleFormat.ManifestKind:
                    return null;
                default:
                    if (length < 0 || length > _limits.BlockBytesMax)
                        throw Changed();
                    byte[] payload = new byte[length];
                    ReadExactly(_at + BundleFormat.BlockHeaderBytes, payload);
                    _at += BundleFormat.BlockHeaderBytes + length;
                    return Decode(Open(payload, _index++));
            }
        }
        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((IDiskFile file, _) in _volumes)
            file.Dispose();
        _cipher?.Dispose();
    }

    private InvalidDataException Changed() => new($"{_volumes[_volume].Path} changed after it was verified");

    private BundleVerdict OpenVolumes(out Guid bundle, out bool encrypted)
    {
        bundle = default;
        encrypted = false;
        if (_paths.Count > _limits.VolumesMax)
            return new BundleVerdict(BundleOutcome.TooLarge, $"{_paths.Count} files; a bundle has up to {_limits.VolumesMax}");
        var found = new SortedDictionary<uint, (IDiskFile File, string Path)>();
        Span<byte> header = stackalloc byte[BundleFormat.HeaderBytes];
        foreach (string path in _paths)
        {
            IDiskFile file = _disk.Open(path, DiskOpen.ReadOnly);
            _volumes.Add((file, path));
            int read = file.Read(0, header);
            BundleVerdict verdict = BundleFormat.ReadHeader(header[..read], out Guid own, out uint volume, out bool ownEncrypted);
            if (!verdict.IsGood)
                return verdict with { Reason = $"{path}: {verdict.Reason}" };
            if (found.Count > 0 && own != bundle)
                return new BundleVerdict(BundleOutcome.Altered, $"{path} is of another bundle than {found.First().Value.Path}");
            if (!found.TryAdd(volume, (file, path)))
                return new BundleVerdict(BundleOutcome.Altered, $"{path} and {found[volume].Path} are the same file {volume} of the bundle");
            bundle = own;
            encrypted |= ownEncrypted;
            Bytes += file.Length;
        }
        uint expected = 1;
        foreach (uint volume in found.Keys)
        {
            if (volume != expected++)
                return new BundleVerdict(BundleOutcome.Cut, $"file {expected - 1} of the bundle is missing");
        }
        _volumes.Clear();
        _volumes.AddRange(found.Values);
        return BundleVerdict.Good;
    }

    /// <summary>Walks a file's blocks without believing them: lengths, kinds and indexes, and the hash of what the manifest will vouch for.</summary>
    private BundleVerdict Scan(int number, ref ulong index, List<BundleVolume> found, ref byte[]? manifestBlock, Action<long> read)
    {
        (IDiskFile file, string path) = _volumes[number];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[ReadBytes];
        Span<byte> header = stackalloc byte[BundleFormat.BlockHeaderBytes];
        long at = 0, length = file.Length;
        if (!Feed(file, hash, buffer, ref at, BundleFormat.HeaderBytes))
            return Cut(path);
        while (true)
        {
            long begin = at;
            if (file.Read(at, header) < header.Length)
                return Cut(path);
            long payload = BinaryPrimitives.ReadInt32LittleEndian(header);
            uint kind = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            if (BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) != index++ || payload < 0 || kind is not (BundleFormat.RecordsKind or BundleFormat.ManifestKind or BundleFormat.ContinuedKind))
                return new BundleVerdict(BundleOutcome.Altered, $"{path}: the block at byte {begin} is damaged");
            long limit = kind == BundleFormat.ManifestKind ? _limits.ManifestBytesMax + BundleFormat.SignatureBytes : _limits.BlockBytesMax;
            if (payload > limit)
                return new BundleVerdict(BundleOutcome.TooLarge, $"{path}: the block at byte {begin} claims {payload} bytes; at most {limit} are read");
            if (begin + BundleFormat.BlockHeaderBytes + payload > length)
                return Cut(path);
            if (kind == BundleFormat.ManifestKind)
            {
                manifestBlock = new byte[payload];
                if (file.Read(begin + BundleFormat.BlockHeaderBytes, manifestBlock) < payload)
                    return Cut(path);
            }
            else if (!Feed(file, hash, buffer, ref at, BundleFormat.BlockHeaderBytes + payload))
            {
                return Cut(path);
            }
            read(BundleFormat.BlockHeaderBytes + payload);
            if (kind == BundleFormat.RecordsKind)
                continue;
            found.Add(new BundleVolume(at, hash.GetHashAndReset()));
            long end = begin + BundleFormat.BlockHeaderBytes + payload;
            return end == length ? BundleVerdict.Good : new BundleVerdict(BundleOutcome.Altered, $"{path}: {length - end} bytes stand behind its end");
        }
    }

    private static BundleVerdict Cut(string path) => new(BundleOutcome.Cut, $"{path} ends too early: copy it again");

    private static bool Feed(IDiskFile file, IncrementalHash hash, byte[] buffer, ref long at, long count)
    {
        while (count > 0)
        {
            int read = file.Read(at, buffer.AsSpan(0, (int)Math.Min(buffer.Length, count)));
            if (read == 0)
                return false;
            hash.AppendData(buffer, 0, read);
            at += read;
            count -= read;
        }
        return true;
    }

    private BundleVerdict CheckManifest(byte[] block, Guid bundle, bool encrypted, List<BundleVolume> found, BundleTrust trust)
    {
        if (block.Length < BundleFormat.SignatureBytes)
            return new BundleVerdict(BundleOutcome.Altered, "its manifest is damaged");
        ReadOnlyMemory<byte> text = block.AsMemory(0, block.Length - BundleFormat.SignatureBytes);
        if (BundleManifestText.TryRead(text, _limits) is not { } manifest)
            return new BundleVerdict(BundleOutcome.Altered, "its manifest cannot be read");
        if (trust.KeyOf(manifest.Agent) is not { } key)
            return new BundleVerdict(BundleOutcome.Stranger, $"it is of agent '{Shown(manifest.Agent)}', for whom no bundle key is configured here");
        if (!BundleKeys.Verify(key, BundleWriter.Domain, text.Span, block.AsSpan(text.Length)))
            return new BundleVerdict(BundleOutcome.WrongSignature, $"it is not signed by the key that agent '{Shown(manifest.Agent)}' has here, or its manifest was altered");
        if (manifest.Bundle != bundle || manifest.Volumes.Count != found.Count || (manifest.Encryption is not null) != encrypted)
            return new BundleVerdict(BundleOutcome.Altered, $"its manifest speaks of {manifest.Volumes.Count} files of bundle {manifest.Bundle}");
        for (int i = 0; i < found.Count; i++)
        {
            if (manifest.Volumes[i].Bytes != found[i].Bytes || !manifest.Volumes[i].Sha256.AsSpan().SequenceEqual(found[i].Sha256))
                return new BundleVerdict(BundleOutcome.Altered, $"{_volumes[i].Path}: its bytes are not those that were signed: copy it again");
        }
        if (manifest.Encryption is { } encryption)
        {
            if (trust.Own is null || !encryption.Recipient.AsSpan().SequenceEqual(BundleKeys.Fingerprint(trust.Own)) || BundleKeys.Agree(trust.Own, encryption, bundle) is not { } secret)
                return new BundleVerdict(BundleOutcome.NotForUs, "it is encrypted for another key than ours");
            _cipher = new AesGcm(secret, BundleFormat.TagBytes);
        }
        _manifest = manifest;
        return BundleVerdict.Good;
    }

    private static string Shown(string agent) => agent.Length <= 100 ? agent : agent[..100] + "...";

    private ReadOnlyMemory<byte> Open(byte[] payload, ulong index)
    {
        if (_cipher is null)
            return payload;
        if (payload.Length < BundleFormat.TagBytes)
            throw Changed();
        Span<byte> nonce = stackalloc byte[12], associated = stackalloc byte[24];
        BundleFormat.WriteNonce(nonce, index);
        BundleFormat.WriteAssociated(associated, Manifest.Bundle, index);
        int length = payload.Length - BundleFormat.TagBytes;
        byte[] plain = new byte[length];
        try
        {
            _cipher.Decrypt(nonce, payload.AsSpan(0, length), payload.AsSpan(length), plain, associated);
        }
        catch (AuthenticationTagMismatchException)
        {
            throw Changed();
        }
        return plain;
    }

    /// <summary>What the agent signed may still be wrong: every length is checked.</summary>
    private BundleRun Decode(ReadOnlyMemory<byte> plain)
    {
        ReadOnlySpan<byte> span = plain.Span;
        if (span.Length < BundleFormat.RunHeaderBytes)
            throw Changed();
        var segment = new BundleSegmentId(BinaryPrimitives.ReadUInt64LittleEndian(span), BinaryPrimitives.ReadUInt64LittleEndian(span[8..]), BinaryPrimitives.ReadUInt32LittleEndian(span[16..]));
        ulong first = BinaryPrimitives.ReadUInt64LittleEndian(span[20..]);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(span[28..]);
        bool last = span[32] == 1;
        int at = BundleFormat.RunHeaderBytes;
        if (count > (span.Length - at) / 4)
            throw Changed();
        var records = new List<ReadOnlyMemory<byte>>((int)count);
        for (uint i = 0; i < count; i++)
        {
            if (span.Length - at < 4)
                throw Changed();
            int length = BinaryPrimitives.ReadInt32LittleEndian(span[at..]);
            at += 4;
            if (length < 0 || length > span.Length - at)
                throw Changed();
            records.Add(plain.Slice(at, length));
            at += length;
        }
        return new BundleRun(segment, first, records, last);
    }

    private void ReadExactly(long at, Span<byte> into)
    {
        if (_volumes[_volume].File.Read(at, into) < into.Length)
            throw Changed();
    }
}
