using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Bellwether.Evaluate.Kpi.Sla.Evidence;

/// <summary>A pack that was opened: its files are those of its manifest, and the manifest is signed.</summary>
/// <param name="Document">Contracts and numbers.</param>
/// <param name="Fingerprint">SHA-256 of the public key that signed it, hexadecimal.</param>
/// <param name="IsKnownKey">Whether that is the key that was expected; false: none was named.</param>
public sealed record OpenedEvidence(EvidenceDocument Document, string Fingerprint, bool IsKnownKey)
{
    internal EvidenceSeries Series { get; init; } = new();
}

/// <summary>Signs packs and opens them. What is altered, damaged or hostile is refused with its reason. Thread-safe.</summary>
public static class EvidencePack
{
    private static readonly string[] s_signed = [EvidenceFormat.DocumentName, EvidenceFormat.SeriesName, EvidenceFormat.KeyName];
    private static readonly string[] s_all = [.. s_signed, EvidenceFormat.ManifestName, EvidenceFormat.SignatureName];

    /// <summary>Copies an unsigned pack, with the public key, the manifest and its signature. Throws <see cref="EvidenceException"/> when it is no pack.</summary>
    public static void Sign(Stream unsigned, Stream into, ECDsa key, long madeMs)
    {
        try
        {
            using var from = new ZipArchive(unsigned, ZipArchiveMode.Read, leaveOpen: true);
            using var to = new ZipArchive(into, ZipArchiveMode.Create, leaveOpen: true);
            var manifest = new StringBuilder();
            foreach (string name in new[] { EvidenceFormat.DocumentName, EvidenceFormat.SeriesName })
            {
                ZipArchiveEntry entry = from.GetEntry(name) ?? throw new EvidenceException($"there is no {name} in it");
                using Stream content = new Bounded(entry.Open(), LimitOf(name), name);
                using Stream copy = Entry(to, name, madeMs);
                Line(manifest, name, Copy(content, copy));
            }
            Add(to, manifest, EvidenceFormat.KeyName, Encoding.ASCII.GetBytes(key.ExportSubjectPublicKeyInfoPem() + "\n"), madeMs);
            byte[] text = Encoding.ASCII.GetBytes(manifest.ToString());
            Add(to, null, EvidenceFormat.ManifestName, text, madeMs);
            Add(to, null, EvidenceFormat.SignatureName, key.SignData(text, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence), madeMs);
        }
        catch (InvalidDataException e)
        {
            throw new EvidenceException($"it is no ZIP file, or it is damaged: {e.Message}", e);
        }
    }

    /// <summary>Opens a pack. Throws <see cref="EvidenceException"/> with the reason for which it is refused.</summary>
    /// <param name="pack">The file; it can be read again from its start.</param>
    /// <param name="expected">The key that must have signed it; null: any.</param>
    public static OpenedEvidence Open(Stream pack, ECDsa? expected)
    {
        if (pack.Length > EvidenceFormat.PackBytesMax)
            throw new EvidenceException($"it has {pack.Length} bytes; at most {EvidenceFormat.PackBytesMax} are read");
        try
        {
            using var zip = new ZipArchive(pack, ZipArchiveMode.Read, leaveOpen: true);
            string[] names = [.. zip.Entries.Take(s_all.Length + 1).Select(e => e.FullName).Order(StringComparer.Ordinal)];
            if (!names.SequenceEqual(s_all.Order(StringComparer.Ordinal)))
                throw new EvidenceException($"it holds {string.Join(", ", names)}{(zip.Entries.Count > names.Length ? ", ..." : "")}; a signed pack holds {string.Join(", ", s_all)}");
            byte[] manifest = Small(zip, EvidenceFormat.ManifestName);
            string fingerprint = CheckSignature(zip, manifest, expected);
            Dictionary<string, string> hashes = ReadManifest(manifest);
            foreach (string name in s_signed)
            {
                using Stream content = Open(zip, name);
                string hash = Convert.ToHexStringLower(SHA256.HashData(content));
                if (hash != hashes[name])
                    throw new EvidenceException($"{name} is not what was signed: its SHA-256 is {hash}, the manifest says {hashes[name]}");
            }
            EvidenceDocument document = ReadDocument(zip);
            using Stream text = Open(zip, EvidenceFormat.SeriesName);
            using var reader = new StreamReader(text, new UTF8Encoding(false, true));
            return new OpenedEvidence(document, fingerprint, expected is not null) { Series = EvidenceSeries.Read(reader) };
        }
        catch (Exception e) when (e is InvalidDataException or DecoderFallbackException)
        {
            throw new EvidenceException($"it is no ZIP file, or it is damaged: {e.Message}", e);
        }
    }

    internal static Stream Entry(ZipArchive zip, string name, long madeMs)
    {
        ZipArchiveEntry entry = zip.CreateEntry(name, CompressionLevel.Optimal);
        entry.LastWriteTime = DateTimeOffset.FromUnixTimeMilliseconds(Math.Max(madeMs, 315_619_200_000)).ToUniversalTime();
        return entry.Open();
    }

    private static long LimitOf(string name) => name switch
    {
        EvidenceFormat.SeriesName => EvidenceFormat.SeriesBytesMax,
        EvidenceFormat.DocumentName => EvidenceFormat.DocumentBytesMax,
        _ => EvidenceFormat.SmallBytesMax,
    };

    private static Bounded Open(ZipArchive zip, string name) => new(zip.GetEntry(name)!.Open(), LimitOf(name), name);

    private static byte[] Small(ZipArchive zip, string name)
    {
        using Stream content = Open(zip, name);
        using var copy = new MemoryStream();
        content.CopyTo(copy);
        return copy.ToArray();
    }

    private static string CheckSignature(ZipArchive zip, byte[] manifest, ECDsa? expected)
    {
        using ECDsa named = ECDsa.Create();
        try
        {
            named.ImportFromPem(Encoding.ASCII.GetString(Small(zip, EvidenceFormat.KeyName)));
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            throw new EvidenceException($"{EvidenceFormat.KeyName} is no public key of P-256: {e.Message}", e);
        }
        string fingerprint = Convert.ToHexStringLower(SHA256.HashData(named.ExportSubjectPublicKeyInfo()));
        if (expected is not null && !named.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(expected.ExportSubjectPublicKeyInfo()))
            throw new EvidenceException($"it was signed by another key than the one that is expected: by {fingerprint}");
        if (named.KeySize != 256 || !named.VerifyData(manifest, Small(zip, EvidenceFormat.SignatureName), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
            throw new EvidenceException($"the signature of {EvidenceFormat.ManifestName} is not by the key {fingerprint}: the pack was altered");
        return fingerprint;
    }

    private static Dictionary<string, string> ReadManifest(byte[] manifest)
    {
        var hashes = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string line in Encoding.ASCII.GetString(manifest).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split("  ", 2);
            if (words.Length != 2 || words[0].Length != 64 || !hashes.TryAdd(words[1], words[0]))
                throw new EvidenceException($"{EvidenceFormat.ManifestName}: '{line}' is no line of a hash and a name");
        }
        return hashes.Keys.Order(StringComparer.Ordinal).SequenceEqual(s_signed.Order(StringComparer.Ordinal)) ? hashes : throw new EvidenceException($"{EvidenceFormat.ManifestName} does not name {string.Join(", ", s_signed)}");
    }

    private static EvidenceDocument ReadDocument(ZipArchive zip)
    {
        try
        {
            using Stream content = Open(zip, EvidenceFormat.DocumentName);
            EvidenceDocument? document = JsonSerializer.Deserialize(content, EvidenceJson.Default.EvidenceDocument);
            if (document?.Format != EvidenceFormat.Format)
                throw new EvidenceException($"{EvidenceFormat.DocumentName} is of the format '{document?.Format}'; this program reads '{EvidenceFormat.Format}'");
            return document.Contracts.Count <= EvidenceFormat.ContractsMax ? document : throw new EvidenceException($"{EvidenceFormat.DocumentName} has {document.Contracts.Count} contracts; at most {EvidenceFormat.ContractsMax} are read");
        }
        catch (JsonException e)
        {
            throw new EvidenceException($"{EvidenceFormat.DocumentName} cannot be read: {e.Message}", e);
        }
    }

    private static void Add(ZipArchive to, StringBuilder? manifest, string name, byte[] content, long madeMs)
    {
        using (Stream entry = Entry(to, name, madeMs))
            entry.Write(content);
        if (manifest is not null)
            Line(manifest, name, SHA256.HashData(content));
    }

    private static void Line(StringBuilder manifest, string name, byte[] hash) => manifest.Append(Convert.ToHexStringLower(hash)).Append("  ").Append(name).Append('\n');

    private static byte[] Copy(Stream from, Stream to)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[64 << 10];
        int read;
        while ((read = from.Read(buffer)) > 0)
        {
            hash.AppendData(buffer, 0, read);
            to.Write(buffer, 0, read);
        }
        return hash.GetHashAndReset();
    }

    /// <summary>A file of a pack, which may say that it is small and not be.</summary>
    private sealed class Bounded(Stream inner, long limit, string name) : Stream
    {
        private long _read;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            int read = inner.Read(buffer);
            _read += read;
            return _read <= limit ? read : throw new EvidenceException($"{name} is larger than {limit} bytes");
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
