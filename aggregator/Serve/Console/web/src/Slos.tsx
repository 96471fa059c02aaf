import { Alert, Badge, Card, Group, SimpleGrid, Text, Title } from "@mantine/core";
import { useMemo } from "react";
import * as api from "./api";
import { burnRate, finality, share, value } from "./format";
import { usePoll } from "./poll";
import { Sparkline } from "./Sparkline";

const colours: Record<string, string> = { HEALTHY: "green", WARNING: "yellow", CRITICAL: "red", EXHAUSTED: "red", UNKNOWN: "gray" };

/** Every objective is a card: what is promised, what is measured, and the error budget's burn-down since its period began. */
export function Slos() {
  const { data, error } = usePoll(api.slos, 10_000);
  const slos = data?.slos ?? [];
  if (data && slos.length === 0 && !error) return null;
  return (
    <section aria-labelledby="slos">
      <Title order={2} id="slos" mb="sm">
        Service level objectives
      </Title>
      {error && <Alert color="red">{error}</Alert>}
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3, lg: 4 }}>
        {slos.map((slo) => (
          <Slo key={slo.id} slo={slo} />
        ))}
      </SimpleGrid>
      {data?.next && (
        <Text size="xs" c="dimmed" mt="xs">
          The first {slos.length} are shown; /api/v1/slos has them all.
        </Text>
      )}
    </section>
  );
}

function Slo({ slo }: { slo: api.Slo }) {
  const { data, error } = usePoll((signal) => api.slo(slo.id, signal), 60_000, slo.id);
  // Of several series the one with the least budget left; of several periods of a calendar the one that ended last.
  const line = useMemo(() => worst(data?.history.budgetRemaining ?? []), [data]);
  const times = useMemo(() => line.map((p) => Date.parse(p[0]) / 1000), [line]);
  const values = useMemo(() => line.map((p) => number(p[1])), [line]);
  const objective = slo.objective === null ? `${slo.members.length} objectives` : `${slo.objective} %`;
  const over = slo.window.rolling ? `over ${slo.window.name}` : `since ${slo.window.period}`;
  const left = number(slo.budgetRemaining);
  return (
    <Card withBorder padding="md" data-slo={slo.id}>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Text size="sm" c="dimmed">
          {slo.displayName || `${slo.service} / ${slo.name}`}
        </Text>
        <Badge color={colours[slo.state] ?? "gray"} autoContrast>
          {slo.state.toLowerCase()}
        </Badge>
      </Group>
      <Text size="xl" fw={700} data-value={slo.sli ?? ""}>
        {slo.sli === null ? (left === null ? "no data" : share(left)) : value(Number(slo.sli), "ratio")}
      </Text>
      <Text size="xs">
        of {objective} {over}; budget left {left === null ? "unknown" : share(left)}, burning {burnRate(number(slo.currentBurnRate))}
        {slo.finality && <span data-finality={slo.finality.state}> · {finality(slo.finality)}</span>}
      </Text>
      {slo.planned.length > 0 && (
        <Text size="xs" c="dimmed" title={slo.planned.map((p) => `${p.maintenance}: ${p.reason}`).join("\n")} data-planned={slo.planned.length}>
          planned work is taken out {slo.planned.length === 1 ? "once" : `${slo.planned.length} times`}
          {number(slo.budgetRemainingBefore) !== null && `; with it ${share(number(slo.budgetRemainingBefore) ?? 0)} would be left`}
        </Text>
      )}
      <Sparkline times={times} values={values} label={`${slo.service} ${slo.name}, error budget left ${over}`} />
      <Text size="xs" c="dimmed" lineClamp={2} title={slo.description}>
        {slo.description}
      </Text>
      {(slo.error || error) && (
        <Text size="xs" c="red">
          {slo.error || error}
        </Text>
      )}
    </Card>
  );
}

function worst(all: api.SloHistory[]): [string, number | string | null][] {
  let best: [string, number | string | null][] = [];
  let least = Infinity;
  let newest = "";
  for (const one of all) {
    const last = one.points[one.points.length - 1];
    if (!last) continue;
    const n = number(last[1]) ?? -Infinity;
    if (last[0] > newest || (last[0] === newest && n < least)) {
      best = one.points;
      least = n;
      newest = last[0];
    }
  }
  return best;
}

function number(n: number | string | null): number | null {
  return typeof n === "number" && Number.isFinite(n) ? n : null;
}
