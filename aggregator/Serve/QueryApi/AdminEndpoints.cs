using Bellwether.Core.Model;
using Bellwether.Evaluate.PromQl.Syntax;

namespace Bellwether.Serve.QueryApi;

/// <summary>admin/tsdb/*: closed unless the configuration opens it, as in Prometheus.</summary>
internal sealed class AdminEndpoints(IStoreAdmin? admin)
{
    private static readonly ApiAnswer s_closed = ApiAnswer.Unavailable("admin APIs disabled; set admin_api.enabled in the configuration to open them");

    public async Task<ApiAnswer?> DeleteAsync(ApiParameters parameters, CancellationToken cancellation)
    {
        if (admin is null)
            return s_closed;
        IReadOnlyList<string> texts = parameters.Many("match[]");
        if (texts.Count == 0)
            return ApiAnswer.BadData("no match[] parameter provided");
        if (!QueryEndpoints.TryBounds(parameters, out long fromMs, out long toMs, out ApiAnswer? wrong))
            return wrong;
        if (toMs < fromMs)
            return ApiAnswer.BadParameter("end", "end timestamp must not be before start time");
        var selectors = new List<IReadOnlyList<LabelMatcher>>();
        foreach (string text in texts)
        {
            SelectorResult parsed = PromQlParser.ParseSeriesSelector(text, emptyAllowed: true);
            if (parsed.Matchers is null)
                return ApiAnswer.BadParameter("match[]", parsed.Errors[0].ToString());
            if (parsed.Matchers.All(m => m.MatchesEmpty))
                return ApiAnswer.BadParameter("match[]", "match[] must contain at least one non-empty matcher");
            selectors.Add(parsed.Matchers);
        }
        try
        {
            string left = await admin.DeleteAsync(selectors, fromMs, toMs, cancellation);
            return left.Length == 0 ? null : ApiAnswer.Internal(left);
        }
        catch (IOException e)
        {
            return ApiAnswer.Internal("not everything was deleted, ask again: " + e.Message);
        }
    }

    /// <summary>Deleting rewrites at once: there is nothing left to clean.</summary>
    public ApiAnswer? Clean() => admin is null ? s_closed : null;

    public async Task<ApiAnswer> SnapshotAsync(CancellationToken cancellation)
    {
        if (admin is null)
            return s_closed;
        try
        {
            string name = await admin.SnapshotAsync(cancellation);
            return ApiAnswer.Ok(api =>
            {
                api.Json.WriteStartObject();
                api.Json.WriteString("name", name);
                api.Json.WriteEndObject();
            });
        }
        catch (IOException e)
        {
            return ApiAnswer.Internal("no snapshot was made: " + e.Message);
        }
    }
}
