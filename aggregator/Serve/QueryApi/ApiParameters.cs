using System.Globalization;
using System.Text.RegularExpressions;
using Bellwether.Core.Configuration;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Bellwether.Serve.QueryApi;

/// <summary>The parameters of a request, from its address and (POST) its form; and the forms that they have.</summary>
internal sealed partial class ApiParameters(IQueryCollection query, IFormCollection? form)
{
    private const double MsMax = 9_223_372_036_854_774.0;

    /// <summary>The first value, or empty.</summary>
    public string One(string name) => Many(name) is { Count: > 0 } values ? values[0]! : "";

    /// <summary>All values; those of the form first, as Go's net/http orders them.</summary>
    public IReadOnlyList<string> Many(string name)
    {
        StringValues fromForm = form is not null && form.TryGetValue(name, out StringValues f) ? f : StringValues.Empty;
        StringValues fromQuery = query.TryGetValue(name, out StringValues q) ? q : StringValues.Empty;
        return [.. fromForm.Select(v => v ?? ""), .. fromQuery.Select(v => v ?? "")];
    }

    /// <summary>Seconds (with a fraction) or RFC 3339, as Unix ms.</summary>
    public static bool TryTime(string text, out long ms)
    {
        ms = 0;
        if (double.TryParse(text, NumberStyles.Float & ~NumberStyles.AllowLeadingWhite & ~NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out double seconds))
        {
            double exact = Math.Round(seconds * 1000);
            ms = double.IsNaN(exact) ? 0 : exact <= -MsMax ? (long)-MsMax : exact >= MsMax ? (long)MsMax : (long)exact;
            return double.IsFinite(seconds);
        }
        if (!Rfc3339().IsMatch(text))
            return false;
        if (!DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time))
            return false;
        ms = time.ToUnixTimeMilliseconds();
        return true;
    }

    // As Go reads it: with a zone, its letters large.
    [GeneratedRegex(@"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}([.,]\d+)?(Z|[+-]\d{2}:\d{2})$", RegexOptions.ECMAScript)]
    private static partial Regex Rfc3339();

    /// <summary>Seconds or a Prometheus duration, as ms (rounded down).</summary>
    public static bool TryDuration(string text, out long ms)
    {
        ms = 0;
        if (double.TryParse(text, NumberStyles.Float & ~NumberStyles.AllowLeadingWhite & ~NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out double seconds))
        {
            if (!double.IsFinite(seconds) || Math.Abs(seconds) * 1000 > MsMax)
                return false;
            ms = (long)Math.Round(seconds * 1000);
            return true;
        }
        if (!PrometheusDuration.TryParse(text, out TimeSpan span))
            return false;
        ms = (long)span.TotalMilliseconds;
        return true;
    }

    /// <summary>The parameter <c>limit</c> of an endpoint that cuts series; absent or 0: none.</summary>
    public bool TrySeriesLimit(out int limit, out ApiAnswer? wrong)
    {
        bool good = TryLimit("limit", out limit);
        wrong = good ? null : ApiAnswer.BadParameter("limit", One("limit").StartsWith('-') ? "limit must be non-negative" : $"cannot parse \"{One("limit")}\" to a valid limit");
        if (limit == 0)
            limit = int.MaxValue;
        return good;
    }

    /// <summary>A whole number from 0 on; an absent one is 0 (no limit).</summary>
    public bool TryLimit(string name, out int limit)
    {
        string text = One(name);
        limit = 0;
        return text.Length == 0 || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit >= 0);
    }
}
