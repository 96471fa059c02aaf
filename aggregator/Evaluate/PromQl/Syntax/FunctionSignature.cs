using System.Collections.Frozen;

namespace Bellwether.Evaluate.PromQl.Syntax;

/// <summary>What the type checker knows of a function.</summary>
/// <param name="Name">Its name.</param>
/// <param name="ArgumentTypes">The types of its arguments.</param>
/// <param name="Variadic">0: all arguments must be given; n &gt; 0: the last up to n may be missing; -1: the last may be repeated or missing.</param>
/// <param name="ReturnType">The type of its value.</param>
/// <param name="Experimental">Whether it needs experimental functions to be switched on.</param>
public sealed record FunctionSignature(string Name, IReadOnlyList<ValueType> ArgumentTypes, int Variadic, ValueType ReturnType, bool Experimental);

/// <summary>All functions by name.</summary>
public static class FunctionTable
{
    private static readonly FrozenDictionary<string, FunctionSignature> _all = Make().ToFrozenDictionary(f => f.Name);

    /// <summary>All functions, by name.</summary>
    public static IReadOnlyDictionary<string, FunctionSignature> All => _all;

    private static List<FunctionSignature> Make()
    {
        const ValueType S = ValueType.Scalar, V = ValueType.Vector, M = ValueType.Matrix, T = ValueType.String;
        var all = new List<FunctionSignature>();
        void Add(string names, ValueType returns, ValueType[] arguments, int variadic = 0, bool experimental = false)
        {
            foreach (string name in names.Split(' '))
                all.Add(new FunctionSignature(name, arguments, variadic, returns, experimental));
        }
        Add("abs acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sqrt tan tanh", V, [V]);
        Add("absent histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar sort sort_desc timestamp", V, [V]);
        Add("start_timestamp", V, [V], 0, true);
        Add("absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate last_over_time max_over_time min_over_time", V, [M]);
        Add("present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time", V, [M]);
        Add("first_over_time mad_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time", V, [M], 0, true);
        Add("clamp", V, [V, S, S]);
        Add("clamp_max clamp_min", V, [V, S]);
        Add("day_of_month day_of_week day_of_year days_in_month hour minute month year", V, [V], 1);
        Add("double_exponential_smoothing", V, [M, S, S], 0, true);
        Add("histogram_fraction", V, [S, S, V]);
        Add("histogram_quantile", V, [S, V]);
        Add("histogram_quantiles", V, [V, T, S, S], 9, true);
        Add("info", V, [V, V], 1, true);
        Add("label_join", V, [V, T, T, T], -1);
        Add("label_replace", V, [V, T, T, T, T]);
        Add("max_of min_of", S, [S, S], 0, true);
        Add("pi time", S, []);
        Add("start end range step", S, [], 0, true);
        Add("predict_linear", V, [M, S]);
        Add("quantile_over_time", V, [S, M]);
        Add("round", V, [V, S], 1);
        Add("scalar", S, [V]);
        Add("sort_by_label sort_by_label_desc", V, [V, T], -1, true);
        Add("vector", V, [S]);
        return all;
    }
}
