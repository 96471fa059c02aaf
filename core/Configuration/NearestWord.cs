namespace Bellwether.Core.Configuration;

/// <summary>Finds the word that somebody probably meant.</summary>
public static class NearestWord
{
    /// <summary>The most alike of the words, or null when none is alike: at most a third of the letters may differ (two at least).</summary>
    public static string? Find(string word, IEnumerable<string> words)
    {
        string? best = null;
        int bestDistance = Math.Max(2, Math.Min(word.Length, 64) / 3) + 1;
        foreach (string candidate in words)
        {
            int distance = word.Length > 64 ? int.MaxValue : Distance(word.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < bestDistance && distance < Math.Max(word.Length, candidate.Length))
                (best, bestDistance) = (candidate, distance);
        }
        return best;
    }

    /// <summary>Edit distance: letters inserted, deleted, replaced, or swapped with the next.</summary>
    internal static int Distance(string a, string b)
    {
        int[,] d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
            d[i, 0] = i;
        for (int j = 0; j <= b.Length; j++)
            d[0, j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int change = a[i - 1] == b[j - 1] ? 0 : 1;
                d[i, j] = Math.Min(Math.Min(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + change);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }
        return d[a.Length, b.Length];
    }
}
