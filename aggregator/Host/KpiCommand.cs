using System.CommandLine;
using Bellwether.Core.Configuration;
using Bellwether.Core.Text;
using Bellwether.Evaluate.Kpi;
using Bellwether.Evaluate.Kpi.Sla;

namespace Bellwether.Aggregator;

/// <summary><c>bellwether-aggregator kpi check|compile|list</c>: reads KPI files without a running aggregator.</summary>
internal static class KpiCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Command check = Sub("check", "Reads KPI files together and tells every error. Exit code 2 when there is one.", set =>
            Console.WriteLine($"good. {Counted.Of(set.Kpis.Count, "KPI")}{Promised(set)} in {Counted.Of(set.Groups.Count, "rule group")} with {Counted.Of(set.Groups.Sum(g => g.Rules.Count), "rule")}."));
        Command compile = Sub("compile", "Prints the rules that KPI files mean, as a Prometheus rule file.", set => Console.Write(RuleText.Print(set.Groups)));
        Command list = Sub("list", "Prints the KPIs of files: name, unit, target, owner, and what they are.", set =>
        {
            foreach (KpiDefinition kpi in set.Kpis.OrderBy(k => k.Name, StringComparer.Ordinal))
                Console.WriteLine($"{kpi.Name}\t{kpi.Unit}\t{kpi.Target?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "-"}\t{kpi.Owner}\t{kpi.Title}");
            foreach (SlaCheck check in set.Slas.Checks)
                Console.WriteLine($"{KpiVersion.NameOf(check)}\t{check.Unit}\t{check.Target.ToString(System.Globalization.CultureInfo.InvariantCulture)}\t\tpromised over {PrometheusDuration.Format(check.EvaluationWindow)}");
        });
        return new Command("kpi", "Checks, compiles and lists KPI files.") { check, compile, list };
    }

    private static Command Sub(string name, string description, Action<KpiSet> print)
    {
        var files = new Argument<string[]>("FILE") { Description = "KPI files; '*' may stand in the last part of a path.", Arity = ArgumentArity.OneOrMore };
        var command = new Command(name, description) { files };
        command.SetAction(parse =>
        {
            ConfigResult<KpiSet> read = KpiFiles.Load(parse.GetRequiredValue(files), ".");
            foreach (ConfigError error in read.Errors)
                Console.Error.WriteLine(error);
            if (!read.IsOk)
                return 2;
            foreach (string warning in read.Value.Warnings)
                Console.Error.WriteLine($"warning: {warning}");
            if (read.Value.Groups.Count == 0 && read.Value.Slas.Maintenances.Count == 0)
            {
                Console.Error.WriteLine("no KPI, no service level and no maintenance was found");
                return 2;
            }
            print(read.Value);
            return 0;
        });
        return command;
    }

    private static string Promised(KpiSet set) => set.Slas.Checks.Count == 0 ? "" : $" and {Counted.Of(set.Slas.Checks.Count, "promise")}";
}
