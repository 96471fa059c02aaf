// Numbers and times as people read them. Units come from a KPI's name, whose last part is its unit by our naming rule: kpi:NAME:UNIT.

export interface KpiName {
  record: string;
  title: string;
  unit: string;
}

export function kpiName(record: string): KpiName {
  const parts = record.split(":");
  const unit = parts.length > 2 ? (parts[parts.length - 1] ?? "") : "";
  const words = (parts[1] ?? record).replaceAll("_", " ");
  return { record, title: words.charAt(0).toUpperCase() + words.slice(1), unit };
}

export function value(n: number, unit: string): string {
  if (Number.isNaN(n)) return "–";
  switch (unit) {
    case "euros":
    case "EUR":
      // Costs per unit are often below a cent.
      return n.toLocaleString("en", { style: "currency", currency: "EUR", maximumFractionDigits: Math.abs(n) < 1 ? 5 : 2 });
    case "ratio":
      return `${(n * 100).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 3 })} %`;
    case "percent":
      return `${n.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 3 })} %`;
    case "seconds":
      return n < 1 ? `${(n * 1000).toLocaleString("en", { maximumFractionDigits: 1 })} ms` : `${n.toLocaleString("en", { maximumFractionDigits: 2 })} s`;
    default:
      return n.toLocaleString("en", { maximumFractionDigits: 2 }) + (unit ? ` ${unit.replaceAll("_", " ").replaceAll("/", " per ")}` : "");
  }
}

/** A share of a budget; below 0: overspent. */
export function share(n: number): string {
  return `${(n * 100).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}

/** A burn rate: how many times faster than allowed. */
export function burnRate(n: number | null): string {
  return n === null ? "not" : `${n.toLocaleString("en", { maximumFractionDigits: n < 10 ? 2 : 0 })} ×`;
}

/** A value of the REST API: NaN and infinities come as texts. */
export function shown(v: number | string | null, unit: string): string {
  if (v === null) return "no data";
  return typeof v === "number" ? value(v, unit) : v;
}

/** Rounded down: 100 % is said only where nothing is missing. */
export function coverage(n: number | null): string {
  return n === null ? "unknown" : `${(Math.floor(n * 10_000 + 1e-6) / 100).toLocaleString("en", { maximumFractionDigits: 2 })} %`;
}

export function duration(ms: number): string {
  const s = ms / 1000;
  if (Math.abs(s) < 1) return `${Math.round(ms)} ms`;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024;
    i++;
  }
  return `${n.toFixed(i === 0 ? 0 : 1)} ${units[i]}`;
}

/** Whether a number may still change, and how much of what it stands on is here. */
export function finality(known: { state: string; coverage: number | null } | null | undefined): string {
  if (!known) return "";
  if (known.state !== "provisional" || known.coverage === null) return known.state;
  return `provisional, ${coverage(known.coverage)} here`;
}
