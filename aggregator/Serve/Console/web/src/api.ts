// What the page asks of the aggregator, and the shapes of the answers. All text from outside is rendered as text nodes only.

export interface Agent {
  id: string;
  version: string;
  connected: boolean;
  lastSeenMs: number;
  newestMs: number;
  clockOffsetMs: number;
  coverage: number | null;
  series: number;
  samples: number;
  spoolRecords: number;
  spoolBytes: number;
  sources: { name: string; intervalMs: number; newestMs: number; received: number; due: number }[];
}

export interface Alert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: string;
  activeAt: string;
  value: string;
}

export interface Rule {
  name: string;
  query: string;
  type: string;
  labels?: Record<string, string>;
  health: string;
  lastError?: string;
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  rules: Rule[];
}

export interface Series {
  metric: Record<string, string>;
  values: [number, string][];
}

export interface CompleteSource {
  name: string;
  received: number;
  due: number;
  ranges: { fromMs: number; toMs: number; ticks: number }[];
  gaps: { fromMs: number; toMs: number; due: number; reason: string }[];
}

export interface CompleteAgent {
  id: string;
  state: string;
  coverage: number | null;
  sources: CompleteSource[];
  events: { timeMs: number; kind: string; detail: string }[];
}

export interface Completeness {
  fromMs: number;
  toMs: number;
  agents: CompleteAgent[];
  next: string | null;
}

export interface SloHistory {
  labels: Record<string, string>;
  points: [string, number | string | null][];
}

export interface Slo {
  id: string;
  service: string;
  name: string;
  displayName: string;
  description: string;
  objective: number | null;
  window: { name: string; rolling: boolean; period?: string };
  sli: number | string | null;
  budgetRemaining: number | string | null;
  currentBurnRate: number | string | null;
  finality: Finality | null;
  budgetRemainingBefore: number | string | null;
  planned: { maintenance: string; from: string; to: string; reason: string }[];
  state: string;
  members: { id: string }[];
  error: string;
}

export interface SeriesValue {
  labels: Record<string, string>;
  value: number | string | null;
}

/** Whether a number may still change: provisional, complete or sealed; null: nobody knows. */
export interface Finality {
  state: string;
  coverage: number | null;
}

export interface Kpi {
  name: string;
  title: string;
  unit: string;
  owner: string;
  description: string;
  note: string;
  record: string;
  expression: string;
  direction: string;
  target: number | null;
  thresholds: { warning: number | null; critical: number | null };
  value: number | string | null;
  absent: boolean;
  state: string;
  meetsTarget: boolean | null;
  finality: Finality | null;
  series: SeriesValue[];
  exact?: Exact;
}

/** Of an exact count: PromQL's extrapolated figure, and that of the application's own books. */
export interface Exact {
  plain: number | string | null;
  reconciliation?: { state: string; ledger: number | string | null; difference: number | string | null; unexplained: number | string | null };
}

export interface Coverage {
  share: number | null;
  received: number;
  due: number;
  sources: number;
}

export interface Explanation {
  step: string;
  recorded: SeriesValue[];
  same: boolean;
  absent: boolean;
  parts: {
    name: string;
    expression: string;
    absent: boolean;
    values: SeriesValue[];
    share: number | null;
    weight: number | null;
    contribution: number | null;
    members: SeriesValue[];
    seriesRead: number;
    coverage: Coverage;
  }[];
  coverage: Coverage;
  exact?: Exact;
  version: { number: number; hash: string; from: string; reason: string; changes: string[]; rules: { record: string; expr: string; labels: Record<string, string> }[] };
  error: string;
}

export interface SlaStatus {
  overall_status: string;
  in_maintenance: boolean;
  sla_checks: { metric: string; tier: string; unit: string; target: number | null; actual: number | string | null; status: string; finality: Finality | null; evaluation_window: string }[];
}

export interface BuildInfo {
  version: string;
}

async function get<T>(path: string, signal: AbortSignal): Promise<T> {
  const answer = await fetch(path, { signal, headers: { Accept: "application/json" } });
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok || !isSuccess(body)) {
    throw new Error(`${path}: ${answer.status} ${isFailure(body) ? body.error : answer.statusText}`);
  }
  return body.data as T;
}

/** The REST endpoints answer without an envelope; what goes wrong is a problem with a detail. */
async function rest<T>(path: string, signal: AbortSignal): Promise<T> {
  const answer = await fetch(path, { signal, headers: { Accept: "application/json" } });
  const body: unknown = await answer.json().catch(() => null);
  if (!answer.ok || body === null) {
    const detail = typeof body === "object" && body !== null ? (body as { detail?: unknown }).detail : undefined;
    throw new Error(`${path}: ${answer.status} ${typeof detail === "string" ? detail : answer.statusText}`);
  }
  return body as T;
}

function isSuccess(body: unknown): body is { status: "success"; data: unknown } {
  return typeof body === "object" && body !== null && (body as { status?: unknown }).status === "success";
}

function isFailure(body: unknown): body is { error: string } {
  return typeof body === "object" && body !== null && typeof (body as { error?: unknown }).error === "string";
}

export const agents = (signal: AbortSignal) => get<{ agents: Agent[] }>("/api/v1/agents", signal).then((d) => d.agents);
export const completeness = (signal: AbortSignal) => get<Completeness>("/api/v1/completeness", signal);
export const alerts = (signal: AbortSignal) => get<{ alerts: Alert[] }>("/api/v1/alerts", signal).then((d) => d.alerts);
export const rules = (signal: AbortSignal) => get<{ groups: RuleGroup[] }>("/api/v1/rules", signal).then((d) => d.groups);
export const slos = (signal: AbortSignal) => rest<{ slos: Slo[]; next: string | null }>("/api/v1/slos?limit=40", signal);
export const slo = (id: string, signal: AbortSignal) => rest<Slo & { history: { budgetRemaining: SloHistory[] } }>(`/api/v1/slos/${encodeURIComponent(id)}`, signal);
export const kpis = (signal: AbortSignal) => rest<{ kpis: Kpi[]; next: string | null }>("/api/v1/kpis?limit=200", signal);
export const explain = (name: string, signal: AbortSignal) => rest<Explanation>(`/api/v1/kpis/${encodeURIComponent(name)}/explain`, signal);
export const sla = (signal: AbortSignal) => rest<SlaStatus>("/api/v1/sla/status", signal);
export const build = (signal: AbortSignal) => get<BuildInfo>("/api/v1/status/buildinfo", signal);

export function range(query: string, startS: number, endS: number, stepS: number, signal: AbortSignal): Promise<Series[]> {
  const parameters = new URLSearchParams({ query, start: String(startS), end: String(endS), step: String(stepS) });
  return get<{ result: Series[] }>(`/api/v1/query_range?${parameters}`, signal).then((d) => d.result);
}
