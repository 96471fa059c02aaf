using System.CommandLine;
using System.Globalization;
using Bellwether.Core.Configuration;
using Bellwether.Core.Text;
using Bellwether.Evaluate.Rules;
using Bellwether.Evaluate.Slo;
using Bellwether.Evaluate.Slo.Compiling;
using Bellwether.Evaluate.Slo.Reading;

namespace Bellwether.Aggregator.Slo;

/// <summary><c>bellwether-aggregator slo compile|check FILE...</c>.</summary>
internal static class SloCommand
{
    private const int ExitBadConfiguration = 2;

    public static Command Create(TimeProvider time)
    {
        var files = Files();
        var style = new Option<string>("--style") { Description = "default: good and total as counts. sloth: the rules that Sloth makes.", DefaultValueFactory = _ => "default" };
        style.AcceptOnlyFromAmong("default", "sloth");
        var labels = new Option<string[]>("--extra-label", "-l") { Description = "NAME=VALUE, added to all that is recorded. May be repeated." };
        var noAlerts = new Option<bool>("--disable-alerts") { Description = "Recording rules only." };
        var period = new Option<string>("--default-period") { Description = "The period of objectives that name none.", DefaultValueFactory = _ => "30d" };
        var at = new Option<string?>("--at") { Description = "The day whose calendar period comes first, e.g. 2026-03-01. Default: today." };
        var periods = new Option<int>("--periods") { Description = "How many calendar periods get rules.", DefaultValueFactory = _ => 13 };
        var version = new Option<string>("--sloth-version") { Description = "The label sloth_version of --style sloth.", DefaultValueFactory = _ => "dev" };
        var compile = new Command("compile", "Prints the rules of SLO files (OpenSLO, Sloth, Pyrra, short form), to be read by Bellwether or any Prometheus.") { files, style, labels, noAlerts, period, at, periods, version };
        compile.SetAction(parse =>
        {
            var extra = new Dictionary<string, string>();
            foreach (string label in parse.GetValue(labels) ?? [])
            {
                int equals = label.IndexOf('=', StringComparison.Ordinal);
                if (equals < 1)
                    return Refuse($"--extra-label {label}: write NAME=VALUE");
                extra[label[..equals]] = label[(equals + 1)..];
            }
            if (!PrometheusDuration.TryParse(parse.GetRequiredValue(period), out TimeSpan length) || length < TimeSpan.FromHours(1))
                return Refuse($"--default-period {parse.GetValue(period)}: write a duration of at least 1h, such as 30d");
            DateTimeOffset first = time.GetUtcNow();
            if (parse.GetValue(at) is { } day && !DateTimeOffset.TryParse(day, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out first))
                return Refuse($"--at {day}: write a day or time such as 2026-03-01");
            string[] names = parse.GetRequiredValue(files);
            return parse.GetValue(style) == "sloth"
                ? CompileAsSloth(names, new SlothStyleOptions { ExtraLabels = extra, DisableAlerts = parse.GetValue(noAlerts), DefaultPeriod = length, Version = parse.GetRequiredValue(version) })
                : Compile(names, new CountStyleOptions { ExtraLabels = extra, DisableAlerts = parse.GetValue(noAlerts), DefaultPeriod = length, AtMs = first.ToUnixTimeMilliseconds(), Periods = parse.GetValue(periods) });
        });
        var checkFiles = Files();
        var check = new Command("check", "Reads SLO files and tells every error, and alerts that can never fire. Exit code 2 when there is an error.") { checkFiles };
        check.SetAction(parse => Check(parse.GetRequiredValue(checkFiles), time));
        return new Command("slo", "Service level objectives: makes their rules, checks their files.") { compile, check };
    }

    private static Argument<string[]> Files() => new("FILE") { Description = "SLO files; names that they use of each other may stand in any of them.", Arity = ArgumentArity.OneOrMore };

    private static int Refuse(string message)
    {
        Console.Error.WriteLine(message);
        return ExitBadConfiguration;
    }

    private static SloSet? Read(string[] files)
    {
        ConfigResult<SloSet> read = SloFiles.Read(files);
        Tell(read.Errors, read.Value?.Warnings ?? []);
        return read.Value;
    }

    private static void Tell(IEnumerable<ConfigError> errors, IEnumerable<ConfigError> warnings)
    {
        foreach (ConfigError error in errors)
            Console.Error.WriteLine(error);
        foreach (ConfigError warning in warnings)
            Console.Error.WriteLine($"warning: {warning}");
    }

    private static int Compile(string[] files, CountStyleOptions options)
    {
        if (Read(files) is not { } set)
            return ExitBadConfiguration;
        IReadOnlyList<CompiledSlo> compiled = SloCompiler.Compile(set, options);
        ConfigResult<RuleSet> rules = SloCompiler.ToRules(compiled, new RuleFileOptions());
        Tell(rules.Errors, compiled.SelectMany(c => c.Warnings));
        if (!rules.IsOk)
            return ExitBadConfiguration;
        Console.Write(SloCompiler.ToRuleFile(compiled));
        return 0;
    }

    private static int CompileAsSloth(string[] files, SlothStyleOptions options)
    {
        if (Read(files) is not { } set)
            return ExitBadConfiguration;
        ConfigResult<IReadOnlyList<CompiledSlo>> compiled = SloCompiler.CompileAsSloth(set, options);
        Tell(compiled.Errors, compiled.Value?.SelectMany(c => c.Warnings) ?? []);
        if (!compiled.IsOk)
            return ExitBadConfiguration;
        Console.Write(SloCompiler.ToSlothFiles(compiled.Value, options.Version));
        return 0;
    }

    private static int Check(string[] files, TimeProvider time)
    {
        if (Read(files) is not { } set)
            return ExitBadConfiguration;
        IReadOnlyList<CompiledSlo> compiled = SloCompiler.Compile(set, new CountStyleOptions { AtMs = time.GetUtcNow().ToUnixTimeMilliseconds() });
        ConfigResult<RuleSet> rules = SloCompiler.ToRules(compiled, new RuleFileOptions());
        Tell(rules.Errors, compiled.SelectMany(c => c.Warnings));
        if (!rules.IsOk)
            return ExitBadConfiguration;
        int count = rules.Value.Groups.Sum(g => g.Rules.Count);
        Console.WriteLine($"{string.Join(", ", files)}: good. {Counted.Of(set.Slos.Count, "objective")} in {Counted.Of(set.Documents, "document")}; {Counted.Of(count, "rule")}.");
        return 0;
    }
}
