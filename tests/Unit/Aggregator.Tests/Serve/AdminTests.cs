using Bellwether.Core.Model;
using Bellwether.Serve.QueryApi;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Bellwether.Aggregator.Tests.Serve;

public sealed class AdminTests
{
    [Fact]
    public async Task Without_the_switch_nothing_is_done()
    {
        var closed = new AdminEndpoints(null);
        Assert.Equal(503, (await closed.DeleteAsync(With("up"), CancellationToken.None))!.Status);
        Assert.Equal(503, closed.Clean()!.Status);
        Assert.Equal(503, (await closed.SnapshotAsync(CancellationToken.None)).Status);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("up{")]
    [InlineData("{job=~\".*\"}")]
    public async Task A_deletion_needs_a_selector_that_selects(string? match)
    {
        var admin = new Admin();
        ApiAnswer? answer = await new AdminEndpoints(admin).DeleteAsync(match is null ? With() : With(match), CancellationToken.None);
        Assert.Equal(400, answer!.Status);
        Assert.Empty(admin.Deleted);
    }

    [Fact]
    public async Task Selectors_and_bounds_are_handed_on_and_nothing_is_answered()
    {
        var admin = new Admin();
        var query = new QueryCollection(new Dictionary<string, StringValues> { ["match[]"] = new StringValues(["up", "{job='shop'}"]), ["start"] = "10", ["end"] = "20.5" });
        Assert.Null(await new AdminEndpoints(admin).DeleteAsync(new ApiParameters(query, null), CancellationToken.None));
        Assert.Equal([(2, 10_000L, 20_500L)], admin.Deleted);
        Assert.Null(new AdminEndpoints(admin).Clean());
        Assert.Equal(200, (await new AdminEndpoints(admin).SnapshotAsync(CancellationToken.None)).Status);
    }

    [Fact]
    public async Task What_the_disk_refuses_is_told()
    {
        var admin = new Admin { Failure = "no space left" };
        ApiAnswer? deleted = await new AdminEndpoints(admin).DeleteAsync(With("up"), CancellationToken.None);
        Assert.Contains("no space left", deleted!.Error, StringComparison.Ordinal);
        Assert.Equal(500, (await new AdminEndpoints(admin).SnapshotAsync(CancellationToken.None)).Status);
    }

    private static ApiParameters With(params string[] matches) =>
        new(new QueryCollection(matches.Length == 0 ? [] : new Dictionary<string, StringValues> { ["match[]"] = new StringValues(matches) }), null);

    private sealed class Admin : IStoreAdmin
    {
        public List<(int Selectors, long FromMs, long ToMs)> Deleted { get; } = [];

        public string? Failure { get; init; }

        public Task<string> DeleteAsync(IReadOnlyList<IReadOnlyList<LabelMatcher>> selectors, long fromMs, long toMs, CancellationToken cancellation)
        {
            if (Failure is not null)
                throw new IOException(Failure);
            Deleted.Add((selectors.Count, fromMs, toMs));
            return Task.FromResult("");
        }

        public Task<string> SnapshotAsync(CancellationToken cancellation) => Failure is null ? Task.FromResult("20260101T000000.000Z") : throw new IOException(Failure);
    }
}
