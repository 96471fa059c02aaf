using System.Globalization;
using System.Text;

namespace Bellwether.Core.Text;

/// <summary>Unicode tables for patterns: categories from the framework, scripts of Unicode 14.0 (Scripts.txt), and simple case folding. Built when first used. Thread-safe.</summary>
internal static class UnicodeTables
{
    private static readonly string[] s_categoryNames =
    [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
    ];

    private static readonly Lazy<Dictionary<string, List<(int, int)>>> s_categories = new(ReadCategories);
    private static readonly Lazy<Dictionary<int, int[]>> s_orbits = new(ReadOrbits);

    /// <summary>The code points of a category (L, Lu, Any) or script (Greek), or null when there is none of that name.</summary>
    public static RuneSet? Find(string name)
    {
        if (name == "Any")
            return RuneSet.All;
        if (name is "Cn" or "LC")
            return null;
        if (name.Length is 1 or 2)
        {
            List<(int, int)>[] parts = [.. s_categories.Value.Where(c => c.Key != "Cn" && c.Key.StartsWith(name, StringComparison.Ordinal)).Select(c => c.Value)];
            if (parts.Length > 0)
                return RuneSet.From(parts.SelectMany(p => p));
        }
        foreach (string line in Scripts.Split('\n'))
        {
            int at = line.IndexOf('=', StringComparison.Ordinal);
            if (at == name.Length && line.StartsWith(name, StringComparison.Ordinal))
                return ReadScript(line[(at + 1)..]);
        }
        return null;
    }

    /// <summary>All code points that are the same letter in another case, itself included.</summary>
    public static ReadOnlySpan<int> Folded(int codePoint) => s_orbits.Value.TryGetValue(codePoint, out int[]? orbit) ? orbit : new[] { codePoint };

    /// <summary>A set with every letter in all its cases.</summary>
    public static RuneSet Fold(RuneSet set)
    {
        var ranges = new List<(int, int)>(set.Ranges);
        foreach ((int codePoint, int[] orbit) in s_orbits.Value)
        {
            if (set.Contains(codePoint))
                ranges.AddRange(orbit.Select(o => (o, o)));
        }
        return RuneSet.From(ranges);
    }

    private static Dictionary<string, List<(int, int)>> ReadCategories()
    {
        var all = s_categoryNames.ToDictionary(n => n, _ => new List<(int, int)>());
        for (int start = 0; start <= RuneSet.Last;)
        {
            UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(start);
            int end = start;
            while (end < RuneSet.Last && CharUnicodeInfo.GetUnicodeCategory(end + 1) == category)
                end++;
            all[s_categoryNames[(int)category]].Add((start, end));
            start = end + 1;
        }
        return all;
    }

    private static RuneSet ReadScript(string deltas)
    {
        // Hexadecimal distances: where it begins, where it ends (exclusive), where it begins again.
        var ranges = new List<(int, int)>();
        int at = 0, begin = -1;
        foreach (string delta in deltas.Split(','))
        {
            at += int.Parse(delta, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (begin >= 0)
                ranges.Add((begin, at - 1));
            begin = begin >= 0 ? -1 : at;
        }
        return RuneSet.From(ranges);
    }

    private static Dictionary<int, int[]> ReadOrbits()
    {
        var groups = new Dictionary<int, List<int>>();
        for (int c = 0; c < 0x1F000; c++)
        {
            if (c is >= 0xD800 and <= 0xDFFF)
                continue;
            var rune = new Rune(c);
            Join(groups, c, Rune.ToUpperInvariant(rune).Value);
            Join(groups, c, Rune.ToLowerInvariant(rune).Value);
        }
        // The framework leaves the long s and the Kelvin sign alone; folding does not.
        Join(groups, 0x17F, 's');
        Join(groups, 0x212A, 'k');
        return groups.ToDictionary(g => g.Key, g => g.Value.Order().ToArray());
    }

    private static void Join(Dictionary<int, List<int>> groups, int a, int b)
    {
        // The dotted capital I and the dotless i have no simple folding.
        if (a == b || a is 0x130 or 0x131)
            return;
        List<int> first = groups.TryGetValue(a, out List<int>? found) ? found : [a];
        List<int> second = groups.TryGetValue(b, out found) ? found : [b];
        if (ReferenceEquals(first, second))
            return;
        first.AddRange(second);
        foreach (int c in first)
            groups[c] = first;
    }

    private const string Scripts = """
        Adlam=1E900,4C,4,A,4,2
        Ahom=11700,1B,2,F,4,17
        Anatolian_Hieroglyphs=14400,247
        Arabic=600,5,1,6,1,E,1,3,1,20,1,A,B,1A,1,6C,1,22,50,30,F0,1F,1,2,6,4A,1,1D,F250,73,10,16B,2,50,2,36,7,1,20,10,70,5,1,87,F63,1F,DF81,4,1,1B,1,2,1,1,2,1,1,A,1,4,1,1,1,1,6,1,4,1,1,1,1,1,1,3,1,2,1,1,2,1,1,1,1,1,1,1,1,1,1,2,1,1,2,4,1,7,1,4,1,4,1,1,1,A,1,11,5,3,1,5,1,11,34,2
        Armenian=531,26,2,32,2,3,F583,5
        Avestan=10B00,36,3,7
        Balinese=1B00,4D,3,2F
        Bamum=A6A0,58,C108,239
        Bassa_Vah=16AD0,1E,2,6
        Batak=1BC0,34,8,4
        Bengali=980,4,1,8,2,2,2,16,1,7,1,1,3,4,2,9,2,2,2,4,8,1,4,2,1,5,2,19
        Bhaiksuki=11C00,9,1,2D,1,E,A,1D
        Bopomofo=2EA,2,2E19,2B,70,20
        Brahmi=11000,4E,4,24,9,1
        Braille=2800,100
        Buginese=1A00,1C,2,2
        Buhid=1740,14
        Canadian_Aboriginal=1400,280,230,46,101BA,10
        Carian=102A0,31
        Caucasian_Albanian=10530,34,B,1
        Chakma=11100,35,1,12
        Cham=AA00,37,9,E,2,A,2,4
        Cherokee=13A0,56,2,6,9772,50
        Chorasmian=10FB0,1C
        Common=0,41,1A,6,1A,2F,1,F,1,5,17,1,1F,1,1C1,27,5,5,2,14,74,1,9,1,6,1,1,1,27D,1,6,1,E,1,3,1,20,1,9C,1,204,1,81,2,4D9,1,195,4,122,1,5EF,3,47,2,CB,2,1,1,4CD,1,D,1,7,4,1,6,1,3,2,1,305,C,2,57,1,B,3,B,1,F,11,21,3F,26,1,3,2,6,1,1B,1,11,29,3,4,297,19,B,15,3A0,100,274,2,20,1,69,200,5E,192,C,4,5,1,1,1,19,F,8,4,4,5B,2,3,1,5A,2,93,10,20,24,3C,40,1F,51,2F,1,58,A8,19C0,40,5900,22,66,3,A5,A,F4,1,A0,1,18B,1,E,2,51D2,2,D0,A,16,23,1,13,1,4,93,1,1,20,1A,6,1A,B,A,1,2D,2,40,7,1,7,A,5,102,3,4,2D,3,9,50,D,33,2D,E4,1B,B9A4,4,12AC,74,3C,F6,A,27,2,3E,3,11,8,2,7,1E,4,3D,F5,14,C,57,9,19,87,55,1,47,1,2,2,1,2,2,2,4,1,C,1,1,1,7,1,41,1,4,2,8,1,7,1,1C,1,4,1,5,1,1,3,7,1,154,2,124,2,32,1471,44,4C,3D,2C2,2C,4,64,C,F,2,F,1,F,1,25,A,AE,38,1A,1,2,D,2C,4,9,7,2,E,6,9A,3D8,5,10,3,D,3,74,C,59,7,C,4,1,F,C,4,38,8,A,6,28,8,1E,2,2,4E,154,C,E,2,5,3,5,3,7,9,1D,3,B,5,6,A,A,6,8,8,7,9,93,1,37,25,A,C0407,1,1E,60
        Coptic=3E2,E,2890,74,5,7
        Cuneiform=12000,39A,66,6F,1,5,B,C4
        Cypriot=10800,6,2,1,1,2C,1,2,3,1,2,1
        Cypro_Minoan=12F90,63
        Cyrillic=400,85,2,A9,1750,9,A2,1,4C,1,1067,20,7840,60,578E,2
        Deseret=10400,50
        Devanagari=900,51,4,F,2,1A,9F60,20
        Dives_Akuru=11900,7,2,1,2,8,1,2,1,1E,1,2,2,C,9,A
        Dogra=11800,3C
        Duployan=1BC00,6B,5,D,3,9,7,A,2,4
        Egyptian_Hieroglyphs=13000,42F,1,9
        Elbasan=10500,28
        Elymaic=10FE0,17
        Ethiopic=1200,49,1,4,2,7,1,1,1,4,2,29,1,4,2,21,1,4,2,7,1,1,1,4,2,F,1,39,1,4,2,43,2,20,3,1A,19E6,17,9,7,1,7,1,7,1,7,1,7,1,7,1,7,1,7,7D22,6,2,6,2,6,9,7,1,7,13CB1,7,1,4,1,2,1,F
        Georgian=10A0,26,1,1,5,1,2,2B,1,4,B90,2B,2,3,1040,26,1,1,5,1
        Glagolitic=2C00,60,1B3A0,7,1,11,2,7,1,2,1,5
        Gothic=10330,1B
        Grantha=11300,4,1,8,2,2,2,16,1,7,1,2,1,5,2,9,2,2,2,3,2,1,6,1,5,7,2,7,3,5
        Greek=370,4,1,3,2,4,1,1,4,1,1,1,1,3,1,1,1,14,1,3F,E,10,1926,5,32,5,4,5,54,1,140,16,2,6,2,26,2,6,2,8,1,1,1,1,1,1,1,1F,2,35,1,F,1,E,2,6,1,13,2,3,1,9,127,1,8A3E,1,55DA,4F,11,1,D05F,46
        Gujarati=A81,3,1,9,1,3,1,16,1,7,1,2,1,5,2,A,1,3,1,3,2,1,F,4,2,C,7,7
        Gunjala_Gondi=11D60,6,1,2,1,25,1,2,1,6,7,A
        Gurmukhi=A01,3,1,6,4,2,2,16,1,7,1,2,1,2,1,2,2,1,1,5,4,2,2,3,3,1,7,4,1,1,7,11
        Han=2E80,1A,1,59,C,D6,2F,1,1,1,19,9,E,4,3C4,19C0,40,5200,5900,16E,2,6A,7508,2,C,2,900E,A6E0,20,1039,7,DE,2,1682,E,1D31,C1F,21E,5E2,134B
        Hangul=1100,100,1E2E,2,101,5E,71,1F,41,1F,76E1,1D,283,2BA4,C,17,4,31,27A4,1F,3,6,2,6,2,6,2,3
        Hanifi_Rohingya=10D00,28,8,A
        Hanunoo=1720,15
        Hatran=108E0,13,1,2,5,5
        Hebrew=591,37,8,1B,4,6,F528,1A,1,5,1,1,1,2,1,2,1,A
        Hiragana=3041,56,6,3,17F61,11F,30,3,40AD,1
        Imperial_Aramaic=10840,16,1,9
        Inherited=300,70,115,2,1C4,B,1A,1,2E0,4,115B,1F,201,3,1,D,1,7,4,1,6,1,3,2,C6,40,20C,2,C2,21,F39,4,6B,2,CD65,10,10,E,3CF,1,E2,1,105A,1,BBC4,2E,2,17,220,3,11,8,2,7,1E,4,C2F52,F0
        Inscriptional_Pahlavi=10B60,13,5,8
        Inscriptional_Parthian=10B40,16,2,8
        Javanese=A980,4E,2,A,4,2
        Kaithi=11080,43,A,1
        Kannada=C80,D,1,3,1,17,1,A,1,5,2,9,1,3,1,4,7,2,6,2,1,4,2,A,1,2
        Katakana=30A1,5A,2,3,F0,10,D0,2F,1,58,CC0E,A,1,2D,B052,4,1,7,1,2,1,1,11F,3,41,4
        Kayah_Li=A900,2E,1,1
        Kharoshthi=10A00,4,1,2,5,8,1,3,1,1D,2,3,4,A,7,9
        Khitan_Small_Script=16FE4,1,1B1B,1D6
        Khmer=1780,5E,2,A,6,A,1E6,20
        Khojki=11200,12,1,2C
        Khudawadi=112B0,3B,5,A
        Lao=E81,2,1,1,1,5,1,18,1,1,1,17,2,5,1,1,1,6,2,A,2,4
        Latin=41,1A,6,1A,2F,1,F,1,5,17,1,1F,1,1C1,27,5,1A1B,26,6,31,5,4,5,D,1,46,41,100,171,1,D,1,10,D,8D,2,6,1,1B,1,11,29,AD7,20,7AA2,66,3,40,5,2,1,1,1,5,18,E,330,2B,1,9,1,4,4F96,7,41A,1A,6,1A,825,6,1,2A,1,9,D745,1F
        Lepcha=1C00,38,3,F,3,3
        Limbu=1900,1F,1,C,4,C,4,1,3,C
        Linear_A=10600,137,9,16,A,8
        Linear_B=10000,C,1,1A,1,13,1,2,1,F,2,E,22,7B
        Lisu=A4D0,30,7AB0,1
        Lycian=10280,1D
        Lydian=10920,1A,5,1
        Mahajani=11150,27
        Makasar=11EE0,19
        Malayalam=D00,D,1,3,1,33,1,3,1,6,4,10,2,1A
        Mandaic=840,1C,2,1
        Manichaean=10AC0,27,4,C
        Marchen=11C70,20,2,16,1,E
        Masaram_Gondi=11D00,7,1,2,1,2C,3,1,1,2,1,9,8,A
        Medefaidrin=16E40,5B
        Meetei_Mayek=AAE0,17,C9,2E,2,A
        Mende_Kikakui=1E800,C5,2,10
        Meroitic_Cursive=109A0,18,4,14,2,2E
        Meroitic_Hieroglyphs=10980,20
        Miao=16F00,4B,4,39,7,11
        Modi=11600,45,B,A
        Mongolian=1800,2,2,1,1,14,6,59,7,2B,FDB5,D
        Mro=16A40,1F,1,A,4,2
        Multani=11280,7,1,1,1,4,1,F,1,B
        Myanmar=1000,A0,9940,1F,61,20
        Nabataean=10880,1F,8,9
        Nandinagari=119A0,8,2,2E,2,B
        New_Tai_Lue=1980,2C,4,1A,6,B,3,2
        Newa=11400,5C,1,5
        Nko=7C0,3B,2,3
        Nushu=16FE1,1,418E,18C
        Nyiakeng_Puachue_Hmong=1E100,2D,3,E,2,A,4,2
        Ogham=1680,1D
        Ol_Chiki=1C50,30
        Old_Hungarian=10C80,33,D,33,7,6
        Old_Italic=10300,24,9,3
        Old_North_Arabian=10A80,20
        Old_Permic=10350,2B
        Old_Persian=103A0,24,4,E
        Old_Sogdian=10F00,28
        Old_South_Arabian=10A60,20
        Old_Turkic=10C00,49
        Old_Uyghur=10F70,1A
        Oriya=B01,3,1,8,2,2,2,16,1,7,1,2,1,5,2,9,2,2,2,3,7,3,4,2,1,5,2,12
        Osage=104B0,24,4,24
        Osmanya=10480,1E,2,A
        Pahawh_Hmong=16B00,46,A,A,1,7,1,15,5,13
        Palmyrene=10860,20
        Pau_Cin_Hau=11AC0,39
        Phags_Pa=A840,38
        Phoenician=10900,1C,3,1
        Psalter_Pahlavi=10B80,12,7,4,C,7
        Rejang=A930,24,B,1
        Runic=16A0,4B,3,B
        Samaritan=800,2E,2,F
        Saurashtra=A880,46,8,C
        Sharada=11180,60
        Shavian=10450,30
        Siddham=11580,36,2,26
        SignWriting=1D800,28C,F,5,1,F
        Sinhala=D81,3,1,12,3,18,1,9,1,1,2,7,3,1,4,6,1,1,1,8,6,A,2,3,103EC,14
        Sogdian=10F30,2A
        Sora_Sompeng=110D0,19,7,A
        Soyombo=11A50,53
        Sundanese=1B80,40,100,8
        Syloti_Nagri=A800,2D
        Syriac=700,E,1,3C,2,3,110,B
        Tagalog=1700,16,9,1
        Tagbanwa=1760,D,1,3,1,2
        Tai_Le=1950,1E,2,5
        Tai_Tham=1A20,3F,1,1D,2,B,6,A,6,E
        Tai_Viet=AA80,43,18,5
        Takri=11680,3A,6,A
        Tamil=B82,2,1,6,3,3,1,4,3,2,1,1,1,2,3,2,3,3,3,C,4,5,3,3,1,4,2,1,6,1,E,15,113C5,32,D,1
        Tangsa=16A70,4F,1,A
        Tangut=16FE0,1,1F,17F8,8,300,200,9
        Telugu=C00,D,1,3,1,17,1,10,2,9,1,3,1,4,7,2,1,3,2,1,2,4,2,A,7,9
        Thaana=780,32
        Thai=E01,3A,5,1C
        Tibetan=F00,48,1,24,4,27,1,24,1,F,1,7,4,2
        Tifinagh=2D30,38,7,2,E,1
        Tirhuta=11480,48,8,A
        Toto=1E290,1F
        Ugaritic=10380,1E,1,1
        Vai=A500,12C
        Vithkuqi=10570,B,1,F,1,7,1,2,1,B,1,F,1,7,1,2
        Wancho=1E2C0,3A,5,1
        Warang_Citi=118A0,53,C,1
        Yezidi=10E80,2A,1,3,2,2
        Yi=A000,48D,3,37
        Zanabazar_Square=11A00,48
        """;
}
