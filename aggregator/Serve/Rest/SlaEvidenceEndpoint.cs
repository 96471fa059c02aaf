using Bellwether.Core.Configuration;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Kpi.Sla.Evidence;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Http;

namespace Bellwether.Serve.Rest;

/// <summary><c>GET /api/v1/sla/evidence</c>: the pack of a month, which <c>bellwether-aggregator sla evidence</c> signs (docs/formats/evidence.md). One is made at a time. Thread-safe.</summary>
internal sealed class SlaEvidenceEndpoint(KpiSources sources, TimeProvider time)
{
    private static readonly string s_program = $"bellwether-aggregator {typeof(SlaEvidenceEndpoint).Assembly.GetName().Version?.ToString(3) ?? "0.0.0"}";
    private int _isBusy;

    public async Task SendAsync(HttpContext context)
    {
        if (Interlocked.Exchange(ref _isBusy, 1) != 0)
        {
            await RestAnswer.Problem(StatusCodes.Status503ServiceUnavailable, "a pack is being made", "one evidence pack is made at a time; ask again when the other is done").SendAsync(context);
            return;
        }
        try
        {
            using var pack = new MemoryStream();
            if (Make(context, pack) is { } problem)
            {
                await problem.SendAsync(context);
                return;
            }
            context.Response.ContentType = "application/zip";
            context.Response.ContentLength = pack.Length;
            context.Response.Headers.CacheControl = "no-store";
            pack.Position = 0;
            await pack.CopyToAsync(context.Response.Body, context.RequestAborted);
        }
        finally
        {
            Volatile.Write(ref _isBusy, 0);
        }
    }

    private RestAnswer? Make(HttpContext context, MemoryStream pack)
    {
        var parameters = new ApiParameters(context.Request.Query, null);
        string month = parameters.One("month"), contract = parameters.One("contract"), sla = parameters.One("sla");
        SlaSet set = sources.Book.Slas;
        if (SlaReport.MonthOf(month, TimeZoneInfo.Utc) is null)
            return RestAnswer.BadParameter("month", month.Length == 0 ? "is missing; write for example 2026-10" : $"'{month}' is no month; write for example 2026-10");
        if (contract.Length > 0 && set.Contracts.All(c => c.Name != contract))
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such contract", $"there is no contract '{contract}'{Near(contract, set.Contracts.Select(c => c.Name))}");
        if (sla.Length > 0 && set.Contracts.All(c => c.Sla != sla))
            return RestAnswer.Problem(StatusCodes.Status404NotFound, "no such contract", $"no contract promises '{sla}'{Near(sla, set.Contracts.Select(c => c.Sla))}");
        List<SlaContract> asked = [.. set.Contracts.Where(c => (contract.Length == 0 || c.Name == contract) && (sla.Length == 0 || c.Sla == sla))];
        try
        {
            var from = new EvidenceSources(sources.Engine, sources.Reader, sources.Coverage, sources.Book, sources.Engine.Lookback);
            EvidenceMaker.Make(pack, from, asked, month, (time.GetUtcNow().ToUnixTimeMilliseconds(), s_program), context.RequestAborted);
            return null;
        }
        catch (EvidenceException e)
        {
            return RestAnswer.Problem(StatusCodes.Status422UnprocessableEntity, "there is no evidence", e.Message);
        }
    }

    private static string Near(string word, IEnumerable<string> known) => NearestWord.Find(word, known) is { } near ? $"; did you mean '{near}'?" : "";
}
