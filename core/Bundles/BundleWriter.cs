using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using Bellwether.Core.Platform;

namespace Bellwether.Core.Bundles;

/// <summary>What a writer needs.</summary>
/// <param name="Path">The file; of several, the number stands before the extension (<c>x.bwb</c>, <c>x.001.bwb</c>, ...).</param>
/// <param name="Bundle">Random.</param>
/// <param name="VolumeBytes">A file is ended at this size and another begun; 0: one file.</param>
/// <param name="Recipient">Encrypts the records for this public key; null: they are only signed.</param>
public sealed record BundleTarget(string Path, Guid Bundle, long VolumeBytes = 0, ECDsa? Recipient = null);

/// <summary>
/// Writes a bundle: blocks of records as they are, then the signed manifest. The files bear their names only once everything in them is durable: until then they end in
/// <c>.partial</c>. Memory is one block. Throws <see cref="IOException"/> from every method when the disk fails. Not thread-safe.
/// </summary>
public sealed class BundleWriter : IDisposable
{
    /// <summary>No volume is smaller: a header, a block and the manifest must fit.</summary>
    public const long VolumeBytesMin = 1 << 20;

    internal static ReadOnlySpan<byte> Domain => "bellwether bundle manifest v1\0"u8;

    private const string Partial = ".partial";
    private readonly IDisk _disk;
    private readonly BundleTarget _target;
    private readonly BundleLimits _limits;
    private readonly ArrayBufferWriter<byte> _block = new(1 << 20);
    private readonly List<BundleVolume> _volumes = [];
    private readonly List<string> _paths = [];
    private readonly BundleEncryption? _encryption;
    private readonly AesGcm? _cipher;
    private IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private IDiskFile? _file;
    private long _at;
    private ulong _index;
    private bool _finished;

    /// <summary>Begins the first file.</summary>
    public BundleWriter(IDisk disk, BundleTarget target, BundleLimits? limits = null)
    {
        _disk = disk;
        _target = target;
        _limits = limits ?? new BundleLimits();
        if (target.Recipient is not null)
        {
            (byte[] key, _encryption) = BundleKeys.Agree(target.Recipient, target.Bundle);
            _cipher = new AesGcm(key, BundleFormat.TagBytes);
        }
        Begin();
    }

    /// <summary>Bytes written so far, over all files.</summary>
    public long Bytes { get; private set; }

    /// <summary>The files as they are named once it is finished.</summary>
    public IReadOnlyList<string> Files => _paths;

    /// <summary>Adds records of a segment, those of one segment in order. <paramref name="last"/>: none follows in the segment.</summary>
    public void Add(BundleSegmentId segment, ulong first, IReadOnlyList<ReadOnlyMemory<byte>> records, bool last)
    {
        int from = 0;
        do
        {
            int count = 0;
            long bytes = BundleFormat.RunHeaderBytes;
            while (from + count < records.Count && (count == 0 || bytes + 4 + records[from + count].Length <= _limits.BlockBytes))
                bytes += 4 + records[from + count++].Length;
            if (bytes + BundleFormat.TagBytes > _limits.BlockBytesMax)
                throw new IOException($"record {first + (ulong)from} of segment {segment} has {records[from].Length} bytes; a bundle takes up to {_limits.BlockBytesMax}");
            _block.ResetWrittenCount();
            Span<byte> header = _block.GetSpan(BundleFormat.RunHeaderBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(header, segment.Epoch);
            BinaryPrimitives.WriteUInt64LittleEndian(header[8..], segment.Number);
            BinaryPrimitives.WriteUInt32LittleEndian(header[16..], segment.Nonce);
            BinaryPrimitives.WriteUInt64LittleEndian(header[20..], first + (ulong)from);
            BinaryPrimitives.WriteUInt32LittleEndian(header[28..], (uint)count);
            header[32] = last && from + count == records.Count ? (byte)1 : (byte)0;
            _block.Advance(BundleFormat.RunHeaderBytes);
            for (int i = from; i < from + count; i++)
            {
                BinaryPrimitives.WriteInt32LittleEndian(_block.GetSpan(4), records[i].Length);
                _block.Advance(4);
                _block.Write(records[i].Span);
            }
            WriteBlock(BundleFormat.RecordsKind, _block.WrittenSpan);
            from += count;
        }
        while (from < records.Count);
    }

    /// <summary>Writes the manifest with its signature, makes all files durable and gives them their names.</summary>
    /// <param name="manifest">Without volumes and encryption, which the writer knows.</param>
    /// <param name="key">The agent's private key.</param>
    public BundleManifest Finish(BundleManifest manifest, ECDsa key)
    {
        _volumes.Add(new BundleVolume(_at, _hash.GetHashAndReset()));
        BundleManifest whole = manifest with { Bundle = _target.Bundle, Volumes = _volumes, Encryption = _encryption };
        byte[] text = BundleManifestText.Write(whole);
        if (text.Length > _limits.ManifestBytesMax)
            throw new IOException($"the manifest has {text.Length} bytes, more than {_limits.ManifestBytesMax}: export a shorter range");
        byte[] signature = BundleKeys.Sign(key, Domain, text);
        byte[] payload = [.. text, .. signature];
        Span<byte> header = stackalloc byte[BundleFormat.BlockHeaderBytes];
        BundleFormat.WriteBlockHeader(header, payload.Length, BundleFormat.ManifestKind, _index);
        Write(header);
        Write(payload);
        _file!.Sync();
        _file.Dispose();
        _file = null;
        Rename();
        _finished = true;
        return whole;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _file?.Dispose();
        _hash.Dispose();
        _cipher?.Dispose();
        if (_finished)
            return;
        foreach (string path in _paths)
            _disk.Delete(path + Partial);
    }

    /// <summary>Several files bear numbers, the only one does not: known at the end.</summary>
    private void Rename()
    {
        for (int i = 0; i < _paths.Count; i++)
        {
            string path = _paths.Count == 1 ? _target.Path : _paths[i];
            _disk.Rename(_paths[i] + Partial, path);
            _paths[i] = path;
        }
        _disk.SyncFolder(Path.GetDirectoryName(Path.GetFullPath(_target.Path)) ?? ".");
    }

    private void Begin()
    {
        if (_volumes.Count == _limits.VolumesMax)
            throw new IOException($"more than {_limits.VolumesMax} files: split into larger ones");
        string path = Path.Combine(Path.GetDirectoryName(_target.Path) ?? "", $"{Path.GetFileNameWithoutExtension(_target.Path)}.{_volumes.Count + 1:d3}{Path.GetExtension(_target.Path)}");
        _disk.Delete(path + Partial);
        _file = _disk.Open(path + Partial, DiskOpen.CreateNew);
        _paths.Add(path);
        _at = 0;
        Span<byte> header = stackalloc byte[BundleFormat.HeaderBytes];
        BundleFormat.WriteHeader(header, _target.Bundle, (uint)(_volumes.Count + 1), _cipher is not null);
        Write(header);
    }

    private void WriteBlock(byte kind, ReadOnlySpan<byte> plain)
    {
        int length = plain.Length + (_cipher is null ? 0 : BundleFormat.TagBytes);
        if (_target.VolumeBytes > 0 && _at > BundleFormat.HeaderBytes && _at + length + (2 * BundleFormat.BlockHeaderBytes) > _target.VolumeBytes)
            Continue();
        Span<byte> header = stackalloc byte[BundleFormat.BlockHeaderBytes];
        BundleFormat.WriteBlockHeader(header, length, kind, _index);
        Write(header);
        if (_cipher is null)
        {
            Write(plain);
        }
        else
        {
            Span<byte> nonce = stackalloc byte[12], associated = stackalloc byte[24];
            BundleFormat.WriteNonce(nonce, _index);
            BundleFormat.WriteAssociated(associated, _target.Bundle, _index);
            byte[] sealedBytes = ArrayPool<byte>.Shared.Rent(length);
            _cipher.Encrypt(nonce, plain, sealedBytes.AsSpan(0, plain.Length), sealedBytes.AsSpan(plain.Length, BundleFormat.TagBytes), associated);
            Write(sealedBytes.AsSpan(0, length));
            ArrayPool<byte>.Shared.Return(sealedBytes);
        }
        _index++;
    }

    private void Continue()
    {
        Span<byte> header = stackalloc byte[BundleFormat.BlockHeaderBytes];
        BundleFormat.WriteBlockHeader(header, 0, BundleFormat.ContinuedKind, _index++);
        Write(header);
        _volumes.Add(new BundleVolume(_at, _hash.GetHashAndReset()));
        _file!.Sync();
        _file.Dispose();
        Begin();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        _file!.Write(_at, bytes);
        _hash.AppendData(bytes);
        _at += bytes.Length;
        Bytes += bytes.Length;
    }
}
