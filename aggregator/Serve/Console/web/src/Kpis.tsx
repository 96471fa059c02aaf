import { Alert, Card, SimpleGrid, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import * as api from "./api";
import { kpiName, value } from "./format";
import { usePoll } from "./poll";
import { Sparkline } from "./Sparkline";

const windowS = 15 * 60;
const stepS = 5;

/** Every recording rule named kpi:... is a card: title, value now, a line of the last 15 minutes, and the rule behind it. */
export function Kpis() {
  const { data: groups, error } = usePoll(api.rules, 15_000);
  const rules = useMemo(() => (groups ?? []).flatMap((g) => g.rules).filter((r) => r.type === "recording" && r.name.startsWith("kpi:")), [groups]);
  return (
    <section aria-labelledby="kpis">
      <Title order={2} id="kpis" mb="sm">
        KPIs
      </Title>
      {error && <Alert color="red">{error}</Alert>}
      {groups && rules.length === 0 && <Text c="dimmed">No KPI yet: a recording rule whose name starts with kpi: shows here.</Text>}
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3, lg: 4 }}>
        {rules.map((rule) => (
          <Kpi key={rule.name} rule={rule} />
        ))}
      </SimpleGrid>
    </section>
  );
}

function Kpi({ rule }: { rule: api.Rule }) {
  const name = kpiName(rule.name);
  const { data, error } = usePoll(
    (signal) => {
      const end = Math.floor(Date.now() / 1000);
      return api.range(rule.name, end - windowS, end, stepS, signal);
    },
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
