using System.Text.Json;

namespace Bellwether.Serve.QueryApi;

/// <summary>What an endpoint gives: data, or an error with its type and status as Prometheus has them.</summary>
internal sealed class ApiAnswer
{
    /// <summary>Writes the value of <c>data</c>.</summary>
    public Action<ApiJson>? Data { get; private init; }

    public IReadOnlyList<string> Warnings { get; init; } = [];

    public IReadOnlyList<string> Infos { get; init; } = [];

    public int Status { get; private init; } = 200;

    public string ErrorType { get; private init; } = "";

    public string Error { get; private init; } = "";

    public static ApiAnswer Ok(Action<ApiJson> data, IReadOnlyList<string>? warnings = null, IReadOnlyList<string>? infos = null) =>
        new() { Data = data, Warnings = warnings ?? [], Infos = infos ?? [] };

    /// <summary>Done; nothing to say.</summary>
    public static ApiAnswer NoContent { get; } = new() { Status = 204 };

    public static ApiAnswer BadData(string error) => new() { Status = 400, ErrorType = "bad_data", Error = error };

    public static ApiAnswer BadParameter(string name, string error) => BadData($"invalid parameter \"{name}\": {error}");

    public static ApiAnswer Execution(string error) => new() { Status = 422, ErrorType = "execution", Error = error };

    public static ApiAnswer Timeout(string error) => new() { Status = 503, ErrorType = "timeout", Error = error };

    public static ApiAnswer Canceled(string error) => new() { Status = 499, ErrorType = "canceled", Error = error };

    public static ApiAnswer Internal(string error) => new() { Status = 500, ErrorType = "internal", Error = error };

    public static ApiAnswer Unavailable(string error) => new() { Status = 503, ErrorType = "unavailable", Error = error };

    public static ApiAnswer NotAllowed(string error) => new() { Status = 405, ErrorType = "bad_data", Error = error };

    public static ApiAnswer NotFound(string error) => new() { Status = 404, ErrorType = "not_found", Error = error };

    /// <summary>Writes the envelope.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("status", Data is null ? "error" : "success");
        if (Data is null)
        {
            json.WriteString("errorType", ErrorType);
            json.WriteString("error", Error);
        }
        else
        {
            json.WritePropertyName("data");
            Data(new ApiJson(json));
        }
        Texts(json, "warnings", Warnings);
        Texts(json, "infos", Infos);
        json.WriteEndObject();
    }

    private static void Texts(Utf8JsonWriter json, string name, IReadOnlyList<string> texts)
    {
        if (texts.Count == 0)
            return;
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
