using System.Security.Cryptography;

namespace Bellwether.Core.Bundles;

/// <summary>
/// The keys of bundles: P-256, as PEM files. A private key signs (ECDSA with SHA-256, IEEE P1363 form) and reads what was encrypted for it (ECDH); the public key beside it is what
/// the other side is given. Ed25519 is not in the runtime. Source: FIPS 186-5, SP 800-56A.
/// </summary>
public static class BundleKeys
{
    /// <summary>Makes a pair: PKCS#8 and SubjectPublicKeyInfo, both PEM.</summary>
    public static (string Private, string Public) Generate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return (key.ExportPkcs8PrivateKeyPem() + "\n", key.ExportSubjectPublicKeyInfoPem() + "\n");
    }

    /// <summary>Reads a private or public key from PEM. Throws <see cref="CryptographicException"/> with a reason when it is none, or of another curve.</summary>
    public static ECDsa Read(string pem, string name)
    {
        ECDsa key = ECDsa.Create();
        try
        {
            key.ImportFromPem(pem);
            if (key.KeySize != 256)
                throw new CryptographicException($"{name}: the key has {key.KeySize} bits; bundles use P-256 (make one with 'bundle keygen')");
            return key;
        }
        catch (ArgumentException e)
        {
            key.Dispose();
            throw new CryptographicException($"{name}: there is no EC key in PEM form in it (make one with 'bundle keygen')", e);
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>What is wrong with a key file, in words; null: it can be used.</summary>
    public static string? WhyNot(string path, bool isPrivate)
    {
        try
        {
            using ECDsa key = Read(File.ReadAllText(path), path);
            if (isPrivate)
                _ = key.ExportParameters(true);
            return null;
        }
        catch (CryptographicException e)
        {
            return isPrivate ? $"{path}: is no private key of P-256 in PEM form; make one with 'bundle keygen'" : e.Message;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>SHA-256 of the public key: how manifests name it.</summary>
    public static byte[] Fingerprint(ECDsa key) => SHA256.HashData(key.ExportSubjectPublicKeyInfo());

    internal static byte[] Sign(ECDsa key, ReadOnlySpan<byte> domain, ReadOnlySpan<byte> content) =>
        key.SignData([.. domain, .. content], HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);

    internal static bool Verify(ECDsa key, ReadOnlySpan<byte> domain, ReadOnlySpan<byte> content, ReadOnlySpan<byte> signature) =>
        key.VerifyData([.. domain, .. content], signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);

    /// <summary>The records' key for a recipient, and what the manifest says of it.</summary>
    internal static (byte[] Key, BundleEncryption Encryption) Agree(ECDsa recipient, Guid bundle)
    {
        using ECDiffieHellman ephemeral = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        using ECDiffieHellman other = ECDiffieHellman.Create(recipient.ExportParameters(false));
        byte[] shared = ephemeral.DeriveRawSecretAgreement(other.PublicKey);
        return (Derive(shared, bundle), new BundleEncryption(ephemeral.ExportSubjectPublicKeyInfo(), Fingerprint(recipient)));
    }

    /// <summary>The records' key at the recipient; null when the bundle's key is none.</summary>
    internal static byte[]? Agree(ECDsa own, BundleEncryption encryption, Guid bundle)
    {
        try
        {
            using ECDiffieHellman mine = ECDiffieHellman.Create(own.ExportParameters(true));
            using ECDiffieHellman ephemeral = ECDiffieHellman.Create();
            ephemeral.ImportSubjectPublicKeyInfo(encryption.EphemeralKey, out _);
            return ephemeral.KeySize == 256 ? Derive(mine.DeriveRawSecretAgreement(ephemeral.PublicKey), bundle) : null;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    private static byte[] Derive(byte[] shared, Guid bundle) => HKDF.DeriveKey(HashAlgorithmName.SHA256, shared, 32, bundle.ToByteArray(), "bellwether bundle v1"u8.ToArray());
}
