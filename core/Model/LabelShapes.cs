namespace Bellwether.Core.Model;

/// <summary>
/// The names of label sets: series of one kind have the same names in the same order, so that sets share them instead of having each its own. Knows as many as it has places; one that comes anew takes the
/// place of another, which costs memory and nothing else. Thread-safe without a lock: a place is one reference to an array that never changes.
/// </summary>
internal static class LabelShapes
{
    private const int Places = 1 << 9;
    private const int MaxNames = 32;
    private const int MaxCharacters = 512;
    private static readonly string[]?[] s_places = new string[Places][];

    /// <summary>Names that are those of the labels, and known to be sorted, unique and not empty; null: none such are known.</summary>
    public static string[]? Find(ReadOnlySpan<Label> labels)
    {
        if (Volatile.Read(ref s_places[PlaceOf(labels)]) is not { } names || names.Length != labels.Length)
            return null;
        for (int i = 0; i < names.Length; i++)
        {
            if (names[i] != labels[i].Name)
                return null;
        }
        return names;
    }

    /// <summary>The names of labels that were checked; from now on sets with the same share them.</summary>
    public static string[] Add(ReadOnlySpan<Label> labels)
    {
        var names = new string[labels.Length];
        int characters = 0;
        for (int i = 0; i < names.Length; i++)
        {
            names[i] = labels[i].Name;
            characters += names[i].Length;
        }
        if (names.Length <= MaxNames && characters <= MaxCharacters)
            Volatile.Write(ref s_places[PlaceOf(labels)], names);
        return names;
    }

    private static int PlaceOf(ReadOnlySpan<Label> labels)
    {
        uint hash = (uint)labels.Length;
        foreach (ref readonly Label label in labels)
        {
            string name = label.Name;
            // Empty names are refused later.
            uint edges = name.Length == 0 ? 0 : ((uint)name[0] << 16) | name[^1];
            hash = (hash ^ edges ^ ((uint)name.Length << 8)) * 0x9E3779B1;
            hash ^= hash >> 15;
        }
        return (int)(hash % Places);
    }
}
