using Npgsql;

namespace Bellwether.Samples.Shop;

/// <summary>
/// Orders in PostgreSQL. An order's commit and its metrics are one step behind a gate that a scrape takes too: so what a scrape says equals, to the cent and the
/// order, what the database says at that moment, and each scrape leaves a row in <c>scrapes</c> to check against.
/// </summary>
internal sealed class OrderBook(NpgsqlDataSource database, ShopMetrics metrics, TimeProvider time) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);

    public async Task CreateTablesAsync()
    {
        await using NpgsqlCommand create = database.CreateCommand("""
            create table if not exists orders (
                id bigint generated always as identity primary key,
                at timestamptz not null,
                customer int not null,
                category text not null,
                method text not null,
                cents bigint not null);
            create table if not exists products (id int primary key, name text not null, cents bigint not null);
            insert into products select i, 'product ' || i, 199 + i * 37 from generate_series(1, 200) i on conflict do nothing;
            create table if not exists scrapes (at timestamptz not null, orders bigint not null, cents bigint not null);
            """);
        await create.ExecuteNonQueryAsync();
    }

    public async Task<int> CountProductsAsync(CancellationToken cancellation)
    {
        await using NpgsqlCommand count = database.CreateCommand("select count(*)::int from products where cents > 500");
        return (int)(await count.ExecuteScalarAsync(cancellation))!;
    }

    public async Task AddAsync(int customer, string category, string method, long cents)
    {
        await _gate.WaitAsync();
        try
        {
            await using NpgsqlCommand insert = database.CreateCommand("insert into orders (at, customer, category, method, cents) values ($1, $2, $3, $4, $5)");
            insert.Parameters.AddWithValue(time.GetUtcNow());
            insert.Parameters.AddWithValue(customer);
            insert.Parameters.AddWithValue(category);
            insert.Parameters.AddWithValue(method);
            insert.Parameters.AddWithValue(cents);
            await insert.ExecuteNonQueryAsync();
            Count(category, method, cents);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>The exposition; for a scraper also a ledger row of what the database holds at this moment.</summary>
    public async Task<string> ScrapeAsync(bool ledger)
    {
        await _gate.WaitAsync();
        try
        {
            if (ledger)
            {
                await using NpgsqlCommand note = database.CreateCommand("insert into scrapes select clock_timestamp(), count(*), coalesce(sum(cents), 0) from orders");
                await note.ExecuteNonQueryAsync();
            }
            return metrics.Render();
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();

    private void Count(string category, string method, long cents)
    {
        metrics.Orders.Add(1, method, category);
        metrics.Revenue.Add(cents, "EUR");
        metrics.OrderValue.Observe(cents / 100.0, cents);
    }
}
