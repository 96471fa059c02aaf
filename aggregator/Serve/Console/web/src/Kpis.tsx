import { Alert, Badge, Button, Card, Group, SimpleGrid, Table, Text, Title } from "@mantine/core";
import { useMemo, useState } from "react";
import * as api from "./api";
import { coverage, finality, kpiName, shown, value } from "./format";
import { usePoll } from "./poll";
import { Sparkline } from "./Sparkline";

const windowS = 15 * 60;
const stepS = 5;

/** Every KPI of the KPI files is a card with target, state and coverage, and its explanation on a click; so is every other recording rule named kpi:... with the rule behind it. */
export function Kpis() {
  const { data: groups, error } = usePoll(api.rules, 15_000);
  const { data: defined, error: kpiError } = usePoll(api.kpis, 2_000);
  const [chosen, setChosen] = useState<api.Kpi>();
  const rules = useMemo(() => (groups ?? []).flatMap((g) => g.rules).filter((r) => r.type === "recording" && r.name.startsWith("kpi:") && r.name !== "kpi:state" && r.name !== "kpi:target"), [groups]);
  const records = (defined?.kpis ?? []).map((k) => k.record);
  const plain = rules.filter((r) => !records.some((record) => r.name === record || r.name.startsWith(`${record}:`)));
  return (
    <section aria-labelledby="kpis">
      <Title order={2} id="kpis" mb="sm">
        KPIs
      </Title>
      {(error ?? kpiError) && <Alert color="red">{error ?? kpiError}</Alert>}
      {groups && defined && rules.length === 0 && defined.kpis.length === 0 && <Text c="dimmed">No KPI yet: those of kpi_files, and recording rules whose name starts with kpi:, show here.</Text>}
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3, lg: 4 }}>
        {defined?.kpis.map((kpi) => (
          <DefinedKpi key={kpi.name} kpi={kpi} onExplain={() => setChosen(kpi)} />
        ))}
        {defined && plain.map((rule) => <Kpi key={rule.name} rule={rule} />)}
      </SimpleGrid>
      {chosen && <Explanation kpi={chosen} onClose={() => setChosen(undefined)} />}
    </section>
  );
}

function DefinedKpi({ kpi, onExplain }: { kpi: api.Kpi; onExplain: () => void }) {
  const { data, error } = usePoll((signal) => history(kpi.record, signal), 2_000, kpi.record);
  const { data: why } = usePoll((signal) => api.explain(kpi.name, signal), 30_000, kpi.name);
  const points = data?.[0]?.values ?? [];
  const times = useMemo(() => points.map((p) => p[0]), [points]);
  const values = useMemo(() => points.map((p) => finite(p[1])), [points]);
  return (
    <Card withBorder padding="md" data-kpi={kpi.record} data-state={kpi.state}>
      <Group justify="space-between" wrap="nowrap" align="start">
        <Text size="sm" c="dimmed" title={kpi.description}>
          {kpi.title}
        </Text>
        {kpi.state !== "UNKNOWN" && <StateBadge state={kpi.state} />}
      </Group>
      <Text size="xl" fw={700} data-value={kpi.value ?? ""}>
        {kpi.series.length > 1 ? `${kpi.series.length} series` : shown(kpi.value, kpi.unit)}
      </Text>
      <Text size="xs" c="dimmed" data-target={kpi.target ?? ""}>
        {kpi.target === null ? "no target" : `target ${kpi.direction === "higher" ? "≥" : "≤"} ${shown(kpi.target, kpi.unit)}`}
        {why && ` · coverage ${coverage(why.coverage.share)}`}
        {kpi.finality && <span data-finality={kpi.finality.state}> · {finality(kpi.finality)}</span>}
      </Text>
      {kpi.exact && <ExactLine exact={kpi.exact} unit={kpi.unit} />}
      <Sparkline times={times} values={values} label={`${kpi.title}, last 15 minutes`} />
      <Button variant="subtle" size="compact-xs" onClick={onExplain} data-explain={kpi.name}>
        Explain
      </Button>
      {error && (
        <Text size="xs" c="red">
          {error}
        </Text>
      )}
    </Card>
  );
}

function ExactLine({ exact, unit }: { exact: api.Exact; unit: string }) {
  const books = exact.reconciliation;
  return (
    <Text size="xs" c={books?.state === "DIFFERS" ? "red" : "dimmed"} data-reconciled={books?.state ?? ""}>
      counted exactly; increase() says {shown(exact.plain, unit)}
      {books && `; the books say ${shown(books.ledger, unit)}: ${books.state === "DIFFERS" ? `${shown(books.unexplained, unit)} unexplained` : books.state === "RECONCILED" ? "reconciled" : "not compared yet"}`}
    </Text>
  );
}

function Explanation({ kpi, onClose }: { kpi: api.Kpi; onClose: () => void }) {
  const { data, error } = usePoll((signal) => api.explain(kpi.name, signal), 5_000, kpi.name);
  return (
    <Card withBorder padding="md" mt="md" data-explanation={kpi.name} role="region" aria-label={`Explanation of ${kpi.title}`}>
      <Group justify="space-between">
        <Title order={3} size="h4">
          {kpi.title}
        </Title>
        <Button variant="subtle" size="compact-sm" onClick={onClose}>
          Close
        </Button>
      </Group>
      {kpi.description && <Text size="sm">{kpi.description}</Text>}
      {kpi.note && <Text size="sm">Note: {kpi.note}</Text>}
      {error && <Alert color="red">{error}</Alert>}
      {data && (
        <>
          <Text size="sm" mt="xs">
            At {new Date(data.step).toLocaleTimeString("en-GB")}: {data.absent ? "no data" : data.recorded.map((r) => shown(r.value, kpi.unit)).join(", ")}. Coverage {coverage(data.coverage.share)} ({data.coverage.received} of {data.coverage.due} scrapes of {data.coverage.sources} sources).
            {!data.same && " The data has changed since: the rules would give another value now."}
          </Text>
          <Table mt="xs" verticalSpacing={4}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Part</Table.Th>
                <Table.Th>Value</Table.Th>
                <Table.Th>Contribution</Table.Th>
                <Table.Th>Series</Table.Th>
                <Table.Th>Coverage</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.parts.map((part) => (
                <Table.Tr key={part.name} data-part={part.name}>
                  <Table.Td>{part.name}</Table.Td>
                  <Table.Td>{part.absent ? "no data" : part.values.length === 1 ? shown(part.values[0]?.value ?? null, "") : `${part.values.length} series`}</Table.Td>
                  <Table.Td>{part.contribution === null ? "–" : shown(part.contribution, "")}</Table.Td>
                  <Table.Td>{part.seriesRead}</Table.Td>
                  <Table.Td>{coverage(part.coverage.share)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          {data.exact && <ExactLine exact={data.exact} unit={kpi.unit} />}
          <Text size="sm" mt="xs">
            Version {data.version.number}, since {new Date(data.version.from).toLocaleString("en-GB")}
            {data.version.changes.length > 0 && ` (${data.version.changes.join("; ")})`}
            {data.version.reason && `, because: ${data.version.reason}`}:
          </Text>
          {data.version.rules.map((rule) => (
            <Text size="xs" ff="monospace" key={`${rule.record}${JSON.stringify(rule.labels)}`}>
              {rule.record} = {rule.expr}
            </Text>
          ))}
        </>
      )}
    </Card>
  );
}

export function StateBadge({ state }: { state: string }) {
  return (
    <Badge color={state === "HEALTHY" ? "teal" : state === "WARNING" ? "yellow" : state === "CRITICAL" ? "red" : "gray"} autoContrast size="sm">
      {state}
    </Badge>
  );
}

function history(record: string, signal: AbortSignal) {
  const end = Math.floor(Date.now() / 1000);
  return api.range(record, end - windowS, end, stepS, signal);
}

function Kpi({ rule }: { rule: api.Rule }) {
  const name = kpiName(rule.name);
  const { data, error } = usePoll(
    (signal) => history(rule.name, signal),
    2_000,
    rule.name,
  );
  const points = data?.[0]?.values ?? [];
  const times = useMemo(() => points.map((p) => p[0]), [points]);
  const values = useMemo(() => points.map((p) => finite(p[1])), [points]);
  const last = points[points.length - 1];
  return (
    <Card withBorder padding="md" data-kpi={rule.name}>
      <Text size="sm" c="dimmed">
        {name.title}
      </Text>
      <Text size="xl" fw={700} data-value={last?.[1] ?? ""}>
        {last ? value(Number(last[1]), name.unit) : "no data"}
      </Text>
      <Sparkline times={times} values={values} label={`${name.title}, last 15 minutes`} />
      <Text size="xs" c="dimmed" lineClamp={2} title={rule.query}>
        {rule.query}
      </Text>
      {(rule.lastError || error) && (
        <Text size="xs" c="red">
          {rule.lastError || error}
        </Text>
      )}
    </Card>
  );
}

function finite(text: string): number | null {
  const n = Number(text);
  return Number.isFinite(n) ? n : null;
}
