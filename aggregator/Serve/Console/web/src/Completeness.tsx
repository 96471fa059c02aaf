import { Alert, Badge, Group, Stack, Table, Text, Title } from "@mantine/core";
import * as api from "./api";
import { coverage, duration } from "./format";
import { usePoll } from "./poll";

/** Colour and words of each reason why something is not here. */
const reasons: Record<string, { color: string; words: string }> = {
  buffered: { color: "#4dabf7", words: "the agent holds it" },
  awaited: { color: "#fab005", words: "the agent is silent" },
  dropped: { color: "#e8590c", words: "dropped by the agent" },
  lost: { color: "#c92a2a", words: "lost" },
  restored: { color: "#862e9c", words: "lost by a restored backup" },
  announced: { color: "#f59f00", words: "announced by a bundle, not here yet" },
  agent_down: { color: "#f03e3e", words: "the agent was dead" },
  planned_stop: { color: "#868e96", words: "planned stop" },
  not_collected: { color: "#f783ac", words: "not collected" },
};

const here = "#12b886";
const nothing = "#8883";

const states: Record<string, string> = { present: "teal", silent: "red", stopped: "gray", retired: "gray", expected: "yellow", carried: "blue" };

/** What is here of each agent in the last hour, and why the rest is missing. */
export function Completeness() {
  const { data, error } = usePoll(api.completeness, 5_000);
  const seen = new Set(data?.agents.flatMap((a) => a.sources.flatMap((s) => s.gaps.map((g) => g.reason))));
  return (
    <section aria-labelledby="completeness">
      <Title order={2} id="completeness" mb="sm">
        Completeness, last hour
      </Title>
      {error && <Alert color="red">{error}</Alert>}
      {data?.agents.length === 0 && <Text c="dimmed">The fleet is empty.</Text>}
      {data && data.agents.length > 0 && (
        <Stack gap="xs">
          <Table.ScrollContainer minWidth={720}>
            <Table withTableBorder>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th w={180}>Agent</Table.Th>
                  <Table.Th w={110}>State</Table.Th>
                  <Table.Th w={130} title="Ticks received of those due in the last hour.">
                    Coverage, 1 h
                  </Table.Th>
                  <Table.Th>
                    {time(data.fromMs)} to {time(data.toMs)}
                  </Table.Th>
                  <Table.Th w={260}>Last event</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.agents.map((agent) => (
                  <AgentRow key={agent.id} agent={agent} from={data.fromMs} to={data.toMs} />
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
          <Group gap="md">
            <Legend color={here} words="here" />
            {Object.entries(reasons)
              .filter(([reason]) => seen.has(reason))
              .map(([reason, { color, words }]) => (
                <Legend key={reason} color={color} words={words} />
              ))}
            {data.next !== null && <Text size="sm">Only the first {data.agents.length} agents are shown.</Text>}
          </Group>
        </Stack>
      )}
    </section>
  );
}

function AgentRow({ agent, from, to }: { agent: api.CompleteAgent; from: number; to: number }) {
  const last = agent.events.at(-1);
  return (
    <Table.Tr data-complete={agent.id}>
      <Table.Td>{agent.id}</Table.Td>
      <Table.Td>
        <Badge color={states[agent.state] ?? "gray"} autoContrast>
          {agent.state}
        </Badge>
      </Table.Td>
      <Table.Td>{agent.coverage === null ? "–" : coverage(agent.coverage)}</Table.Td>
      <Table.Td>
        <Strip sources={agent.sources} from={from} to={to} height={18} label={`Coverage of ${agent.id}`} />
        {agent.sources.length > 1 && (
          <details>
            <summary>
              <Text span size="xs" c="dimmed">
                {agent.sources.length} sources
              </Text>
            </summary>
            {agent.sources.map((source) => (
              <div key={source.name} title={`${source.received} of ${source.due} ticks`}>
                <Text size="xs">{source.name}</Text>
                <Strip sources={[source]} from={from} to={to} height={8} label={`Coverage of ${source.name}`} />
              </div>
            ))}
          </details>
        )}
      </Table.Td>
      <Table.Td title={last?.detail}>{last ? `${last.kind.replaceAll("_", " ")}, ${duration(Date.now() - last.timeMs)} ago` : "–"}</Table.Td>
    </Table.Tr>
  );
}

/** One line of time: what is here, with the gaps of all sources over it. */
function Strip({ sources, from, to, height, label }: { sources: api.CompleteSource[]; from: number; to: number; height: number; label: string }) {
  const x = (ms: number) => (1000 * (Math.min(Math.max(ms, from), to) - from)) / Math.max(1, to - from);
  const bar = (a: number, b: number) => ({ x: x(a), width: Math.max(1.5, x(b) - x(a)), y: 0, height: 10 });
  return (
    <svg role="img" aria-label={label} width="100%" height={height} viewBox="0 0 1000 10" preserveAspectRatio="none">
      <rect x="0" y="0" width="1000" height="10" fill={nothing} />
      {sources.flatMap((s) => s.ranges.map((r) => <rect key={`${s.name} ${r.fromMs}`} {...bar(r.fromMs, r.toMs)} fill={here} />))}
      {sources.flatMap((s) =>
        s.gaps.map((g) => (
          <rect key={`${s.name} ${g.fromMs} ${g.reason}`} data-reason={g.reason} {...bar(g.fromMs, g.toMs)} fill={reasons[g.reason]?.color ?? "#000"}>
            <title>{`${s.name}: ${g.due} ticks, ${time(g.fromMs)} to ${time(g.toMs)}: ${reasons[g.reason]?.words ?? g.reason}`}</title>
          </rect>
        )),
      )}
    </svg>
  );
}

function Legend({ color, words }: { color: string; words: string }) {
  return (
    <Group gap={6}>
      <svg width="12" height="12" aria-hidden="true">
        <rect width="12" height="12" fill={color} />
      </svg>
      <Text size="sm">{words}</Text>
    </Group>
  );
}

function time(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}
