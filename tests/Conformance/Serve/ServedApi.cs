using System.Diagnostics.Metrics;
using Bellwether.Evaluate.PromQl;
using Bellwether.Evaluate.Rules;
using Bellwether.Kit;
using Bellwether.Serve.QueryApi;
using Bellwether.Serve.RemoteWrite;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Bellwether.Conformance.Serve;

/// <summary>The HTTP faces over a store in memory, on a free port.</summary>
internal sealed class ServedApi : IDisposable
{
    private readonly WebApplication _app;
    private readonly QueryApi _api;
    private readonly RemoteWriteReceiver _receiver;
    private readonly Meter _meter = new("conformance");

    public ServedApi(SeriesInMemory store, Func<IReadOnlyList<RuleGroupStatus>>? rules = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        builder.Services.AddRoutingCore();
        builder.Logging.ClearProviders();
        _app = builder.Build();
        _app.UseRouting();
        var engine = new PromQlEngine(new EngineOptions(), TimeProvider.System);
        _api = new QueryApi(new QueryApiSources { Engine = engine, Reader = store, Rules = rules ?? (() => []) }, new QueryApiOptions(), TimeProvider.System, _meter, NullLogger.Instance);
        _receiver = new RemoteWriteReceiver(store, new RemoteWriteReceiveOptions(), _meter);
        _api.Map(_app);
        _receiver.Map(_app);
        _app.StartAsync().GetAwaiter().GetResult();
        Client = new HttpClient { BaseAddress = new Uri(_app.Urls.First()) };
    }

    public HttpClient Client { get; }

    public void Dispose()
    {
        Client.Dispose();
        _app.StopAsync().GetAwaiter().GetResult();
        ((IDisposable)_app).Dispose();
        _api.Dispose();
        _receiver.Dispose();
        _meter.Dispose();
    }
}
