using System.Globalization;
using System.Text.Json;
using Bellwether.Aggregator.Tests.Evaluate.Kpi;
using Bellwether.Aggregator.Tests.Evaluate.Kpi.Sla;
using Bellwether.Aggregator.Tests.Evaluate.Slo;
using Bellwether.Core.Model;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;
using Bellwether.Evaluate.Rules.Healing;
using Bellwether.Serve.Rest;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace Bellwether.Aggregator.Tests.Serve.Rest;

/// <summary>The served OpenAPI document and what is really answered.</summary>
public sealed class OpenApiTests : IAsyncLifetime, IDisposable
{
    private readonly KpiSite _site = SlaTests.Month();
    private readonly SloSite _slos = new("""
        service: shop
        slos:
          - {name: bad, objective: 99, total: requests_total, bad: 'requests_total{code="500"}'}
          - {name: good, objective: 90, calendar: month, total: requests_total, good: 'requests_total{code="200"}'}
          - {name: none, service: other, objective: 99.9, total: nothing_total, bad: 'nothing_total{code="500"}'}
        """);
    private readonly KpiVersion _version = new() { Name = "shop-bad", Number = 1, FromMs = SloSite.StartMs, Target = 99, Rules = [new("a", "b", new Dictionary<string, string> { ["c"] = "d" })] };
    private (HealDesk Desk, HealBook Book) _heals;
    private WebApplication? _app;
    private HttpClient _client = new();
    private JsonElement _document;

    public async Task InitializeAsync()
    {
        // The rules make their first steps five days on: the steps between are not made up.
        _site.Time.Advance(TimeSpan.FromDays(5));
        _site.Change(SlaTests.Availability + """
            service_tiers:
              gold: {availability_target: 99.95}
            sla_contracts:
              - {name: acme, sla: availability, time_zone: Europe/Zagreb, credits: [{below: 99.9, credit: 10}]}
            maintenance:
              - {name: weekly, reason: updates, approved_by: ops, days: [sunday], at: "02:30", duration: 1h}
            kpis:
              - {name: up, unit: percent, audience: [all], sla: true, target: 99, thresholds: {warning: 98}, ratio: {bad: 'sum(increase(http_requests_total{code="500"}[1h]))', total: 'sum(increase(http_requests_total[1h]))'}, by: [code]}
              - {name: worth, index: {inputs: [{kpi: up}, {name: other, expr: sum(no_such), normalise: {target: 1}}], missing: skip}}
              - {name: nan, expr: sum(http_requests_total) * 0 / 0}
              - {name: counted, unit: requests, exact: {counter: http_requests_total, window: 1h}, reconcile: {total: http_requests_total, skew: 5m}}
            """);
        await _site.Rules.StepAsync(default);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseTestServer();
        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        var finality = new FinalityJudge(_site.Store, new Unknown(), () => _site.Rules.Status, TimeSpan.FromMinutes(5), _site.Time);
        var sources = new KpiSources(_site.Book, _site.Engine, _site.Store, new Unknown()) { Finality = finality };
        await HealSlosAsync();
        new SloEndpoints(new SloSources(() => _slos.Slos, () => _slos.Rules.Status, _slos.Engine, _slos.Reader)
        {
            Heals = _heals.Book,
            Finality = new FinalityJudge(_slos.Reader, new Unknown(), () => _slos.Rules.Status, TimeSpan.FromMinutes(5), _slos.Time),
            Versions = id => id == _version.Name ? [_version] : [],
            Maintenances = () => [new Maintenance { Name = "m", FromMs = SloSite.StartMs, ToMs = SloSite.StartMs + 60_000 }],
        }, _slos.Time).Map(_app);
        new HealEndpoints(_heals.Desk, () => _slos.Rules.Status, _slos.Time, default).Map(_app);
        new KpiEndpoints(sources, _site.Time).Map(_app);
        new SlaEndpoints(sources, _site.Time).Map(_app);
        _app.MapOpenApi();
        await _app.StartAsync();
        _client = _app.GetTestClient();
        _document = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/openapi.json")).RootElement;
    }

    // Half an hour in which bad requests come late, and a backfill.
    private async Task HealSlosAsync()
    {
        _slos.Counter("requests_total", "code", "200", 31, _ => 95);
        await _slos.RunAsync(30);
        _slos.Counter("requests_total", "code", "500", 31, _ => 5);
        _heals = _slos.Desk();
        Assert.True((await _heals.Desk.HealAsync(new HealRequest(SloSite.StartMs, _slos.Time.NowMs) { Reason = "late data" }, default)).Replaced > 0);
        Assert.Null(_heals.Desk.Begin(new HealRequest(SloSite.StartMs, _slos.Time.NowMs) { Kind = HealKind.Reopen, Reason = "r", By = "b", Rules = (_, _) => true }, out Task running, default));
        await running;
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    public void Dispose()
    {
        _client.Dispose();
        _site.Dispose();
        _slos.Dispose();
        _heals.Desk.Dispose();
        _heals.Book.Dispose();
    }

    [Theory]
    [InlineData("/api/v1/kpis", "/api/v1/kpis")]
    [InlineData("/api/v1/kpis", "/api/v1/kpis?limit=1")]
    [InlineData("/api/v1/kpis", "/api/v1/kpis?state=NONE")]
    [InlineData("/api/v1/kpis/{name}", "/api/v1/kpis/up?start=1799996400&step=1m")]
    [InlineData("/api/v1/kpis/{name}", "/api/v1/kpis/nan")]
    [InlineData("/api/v1/kpis/{name}", "/api/v1/kpis/counted")]
    [InlineData("/api/v1/kpis/{name}/explain", "/api/v1/kpis/counted/explain")]
    [InlineData("/api/v1/kpis/{name}", "/api/v1/kpis/nope")]
    [InlineData("/api/v1/kpis/{name}", "/api/v1/kpis/up?by=no")]
    [InlineData("/api/v1/kpis/{name}/explain", "/api/v1/kpis/worth/explain")]
    [InlineData("/api/v1/kpis/{name}/explain", "/api/v1/kpis/up/explain?time=1800300000")]
    [InlineData("/api/v1/kpis/{name}/explain", "/api/v1/kpis/up/explain?time=x")]
    [InlineData("/api/v1/sla/status", "/api/v1/sla/status")]
    [InlineData("/api/v1/sla/status", "/api/v1/sla/status?tier=x")]
    [InlineData("/api/v1/sla/report", "/api/v1/sla/report?month=2027-01")]
    [InlineData("/api/v1/sla/report", "/api/v1/sla/report?month=2027-01&contract=x")]
    [InlineData("/api/v1/slos", "/api/v1/slos?limit=1")]
    [InlineData("/api/v1/slos", "/api/v1/slos")]
    [InlineData("/api/v1/slos", "/api/v1/slos?state=x")]
    [InlineData("/api/v1/slos/{id}", "/api/v1/slos/shop-bad?step=5m")]
    [InlineData("/api/v1/slos/{id}", "/api/v1/slos/shop-bad?version=1")]
    [InlineData("/api/v1/slos/{id}", "/api/v1/slos/shop-bad?version=2")]
    [InlineData("/api/v1/slos/{id}", "/api/v1/slos/shop-good")]
    [InlineData("/api/v1/slos/{id}", "/api/v1/slos/nope")]
    [InlineData("/api/v1/heals", "/api/v1/heals")]
    [InlineData("/api/v1/heals", "/api/v1/heals?limit=1&kind=reopen")]
    [InlineData("/api/v1/heals", "/api/v1/heals?kind=x")]
    [InlineData("/api/v1/rules/backfill", "/api/v1/rules/backfill")]
    [InlineData("/api/v1/sla/evidence", "/api/v1/sla/evidence?month=x")]
    [InlineData("/api/v1/sla/evidence", "/api/v1/sla/evidence?month=2027-01&contract=x")]
    [InlineData("/api/v1/sla/evidence", "/api/v1/sla/evidence?month=2030-01")]
    public async Task Each_answer_has_the_shape_that_the_document_promises(string path, string request)
    {
        using HttpResponseMessage response = await _client.GetAsync(request);
        JsonElement operation = _document.GetProperty("paths").GetProperty(path).GetProperty("get");
        string status = ((int)response.StatusCode).ToString(CultureInfo.InvariantCulture);
        Assert.True(operation.GetProperty("responses").TryGetProperty(status, out JsonElement promised), $"{status} is not in the document");
        JsonElement schema = promised.GetProperty("content").GetProperty(response.Content.Headers.ContentType!.MediaType!).GetProperty("schema");
        var wrong = new List<string>();
        Check(JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement, schema, "$", wrong);
        Assert.Empty(wrong);
    }

    [Theory]
    [InlineData("/api/v1/kpis/counted")]
    [InlineData("/api/v1/kpis/counted/explain")]
    public async Task An_exact_count_stands_beside_promqls_figure_and_the_books(string path)
    {
        JsonElement exact = JsonDocument.Parse(await _client.GetStringAsync(path)).RootElement.GetProperty("exact");
        Assert.Equal((3600.0, 1.0), (exact.GetProperty("windowSeconds").GetDouble(), exact.GetProperty("step").GetDouble()));
        Assert.InRange(exact.GetProperty("plain").GetDouble(), 1, 1e9);
        JsonElement books = exact.GetProperty("reconciliation");
        // The rules have made one step: what the books said a skew ago is not known yet.
        Assert.Equal(("UNKNOWN", 0.0, JsonValueKind.Null), (books.GetProperty("state").GetString(), books.GetProperty("difference").GetDouble(), books.GetProperty("unexplained").ValueKind));
        Assert.Equal(3600, books.GetProperty("ledger").GetDouble());
    }

    [Fact]
    public void Every_endpoint_is_in_the_document_and_the_other_way_round()
    {
        IEnumerable<string?> served = ((IEndpointRouteBuilder)_app!).DataSources.SelectMany(d => d.Endpoints).OfType<RouteEndpoint>().Select(e => e.RoutePattern.RawText?.Replace("{**", "{", StringComparison.Ordinal)).Distinct().Where(p => p != "/api/v1/openapi.json").Order(StringComparer.Ordinal);
        Assert.Equal(served, _document.GetProperty("paths").EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        Assert.Equal("3.1.0", _document.GetProperty("openapi").GetString());
    }

    [Fact]
    public async Task What_was_corrected_stands_in_the_history_with_the_value_before_and_the_reason()
    {
        JsonElement slo = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/slos/shop-bad")).RootElement;
        Assert.True(slo.GetProperty("correctionCount").GetInt32() > 20);
        JsonElement last = slo.GetProperty("corrections").EnumerateArray().Last();
        Assert.Equal([1.0, -4.0], last.GetProperty("values").EnumerateArray().Select(v => Math.Round(v.GetDouble(), 2)));
        ulong id = Assert.Single(last.GetProperty("heals").EnumerateArray()).GetUInt64();
        JsonElement heals = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/heals?metric=slo:period_error_budget_remaining:ratio")).RootElement.GetProperty("heals");
        Assert.Equal((id, "late data"), (heals.EnumerateArray().Single().GetProperty("id").GetUInt64(), heals[0].GetProperty("reason").GetString()));
        // What is asked for is written down before, and what was done after.
        JsonElement reopened = JsonDocument.Parse(await _client.GetStringAsync("/api/v1/heals?kind=reopen")).RootElement.GetProperty("heals");
        Assert.Equal([(false, "b"), (true, "b")], reopened.EnumerateArray().Select(h => (h.GetProperty("asked").GetBoolean(), h.GetProperty("by").GetString()!)));
    }

    [Fact]
    public async Task A_backfill_that_cannot_be_is_refused_with_the_reason()
    {
        foreach ((string form, string detail) in new[]
        {
            ("rule=*", "from: must be RFC 3339 or Unix seconds"),
            ("from=1", "rule: is missing; give a recorded metric or a group, with * for any text; '*' is all"),
            ("from=1&rule=slo-shop-bat", "rule: 'slo-shop-bat' is no recorded metric and no group; did you mean 'slo-shop-bad'?"),
            ("from=1&rule=*", "the range is longer than 400 days"),
            ("from=1799990000&rule=*&reopen=true&by=me", "a sealed period is opened again only with 'reason' and 'by', which are written down"),
        })
        {
            using HttpResponseMessage answer = await _client.PostAsync("/api/v1/rules/backfill?" + form, null);
            Assert.Equal((400, detail), ((int)answer.StatusCode, JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("detail").GetString()));
        }
    }

    [Fact]
    public void The_check_finds_what_is_wrong()
    {
        JsonElement schema = JsonDocument.Parse("""{"type":"object","properties":{"a":{"type":["number","null"]},"b":{"type":"array","items":{"type":"string"}}},"required":["a"],"additionalProperties":false}""").RootElement;
        foreach (string bad in new[] { """{}""", """{"a":"x"}""", """{"a":1,"b":[1]}""", """{"a":1,"c":2}""" })
        {
            var wrong = new List<string>();
            Check(JsonDocument.Parse(bad).RootElement, schema, "$", wrong);
            Assert.Single(wrong);
        }
    }

    private void Check(JsonElement value, JsonElement schema, string at, List<string> wrong)
    {
        if (schema.TryGetProperty("$ref", out JsonElement reference))
            schema = reference.GetString()!.Split('/').Skip(1).Aggregate(_document, (e, part) => e.GetProperty(part));
        if (schema.TryGetProperty("type", out JsonElement type) && !Types(type).Contains(TypeOf(value)) && !(TypeOf(value) == "integer" && Types(type).Contains("number")))
        {
            wrong.Add($"{at} is {TypeOf(value)}, not {type}");
            return;
        }
        if (schema.TryGetProperty("enum", out JsonElement words) && !words.EnumerateArray().Any(w => w.GetString() == value.GetString()))
            wrong.Add($"{at} is {value}, none of {words}");
        if (schema.TryGetProperty("format", out JsonElement format) && format.GetString() == "date-time" && value.ValueKind == JsonValueKind.String && !DateTimeOffset.TryParse(value.GetString(), CultureInfo.InvariantCulture, out _))
            wrong.Add($"{at} is no time: {value}");
        if (value.ValueKind == JsonValueKind.Object)
            CheckObject(value, schema, at, wrong);
        if (value.ValueKind == JsonValueKind.Array)
        {
            JsonElement[] items = [.. value.EnumerateArray()];
            for (int i = 0; i < items.Length; i++)
            {
                if (schema.TryGetProperty("prefixItems", out JsonElement each) ? i < each.GetArrayLength() : schema.TryGetProperty("items", out _))
                    Check(items[i], schema.TryGetProperty("prefixItems", out JsonElement prefix) ? prefix[i] : schema.GetProperty("items"), $"{at}[{i}]", wrong);
            }
        }
    }

    private void CheckObject(JsonElement value, JsonElement schema, string at, List<string> wrong)
    {
        JsonElement.ObjectEnumerator required = schema.TryGetProperty("properties", out JsonElement properties) ? properties.EnumerateObject() : default;
        if (schema.TryGetProperty("required", out JsonElement names))
            wrong.AddRange(names.EnumerateArray().Where(n => !value.TryGetProperty(n.GetString()!, out _)).Select(n => $"{at}.{n} is missing"));
        foreach (JsonProperty property in value.EnumerateObject())
        {
            JsonProperty known = required.FirstOrDefault(p => p.NameEquals(property.Name));
            if (known.Value.ValueKind != JsonValueKind.Undefined)
                Check(property.Value, known.Value, $"{at}.{property.Name}", wrong);
            else if (schema.TryGetProperty("additionalProperties", out JsonElement more) && more.ValueKind == JsonValueKind.Object)
                Check(property.Value, more, $"{at}.{property.Name}", wrong);
            else
                wrong.Add($"{at}.{property.Name} is not in the document");
        }
    }

    private static string[] Types(JsonElement type) => type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(t => t.GetString()!)] : [type.GetString()!];

    private static string TypeOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => "string",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Null => "null",
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        _ => value.TryGetInt64(out _) ? "integer" : "number",
    };

    private sealed class Unknown : ICoverageSource
    {
        public Coverage Of(IReadOnlyCollection<Labels> series, long fromMs, long toMs, CancellationToken cancellation) => default;
    }
}
