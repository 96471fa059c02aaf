import { Alert, Badge, Table, Text, Title } from "@mantine/core";
import * as api from "./api";
import { bytes, coverage, duration } from "./format";
import { usePoll } from "./poll";

/** The fleet: who is connected, how far behind, how complete. */
export function Agents() {
  const { data, error } = usePoll(api.agents, 2_000);
  const now = Date.now();
  return (
    <section aria-labelledby="agents">
      <Title order={2} id="agents" mb="sm">
        Agents
      </Title>
      {error && <Alert color="red">{error}</Alert>}
      {data?.length === 0 && <Text c="dimmed">No agent has connected yet.</Text>}
      {data && data.length > 0 && (
        <Table.ScrollContainer minWidth={720}>
          <Table striped withTableBorder>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Agent</Table.Th>
                <Table.Th>State</Table.Th>
                <Table.Th>Lag</Table.Th>
                <Table.Th title="Ticks received of those due in the last five minutes. For any other time: Completeness.">Coverage, 5 min</Table.Th>
                <Table.Th>Sources</Table.Th>
                <Table.Th title="Series in the aggregator's memory that this agent was the first to send.">Series</Table.Th>
                <Table.Th>Samples</Table.Th>
                <Table.Th>In spool</Table.Th>
                <Table.Th>Clock offset</Table.Th>
                <Table.Th>Version</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.map((agent) => (
                <Table.Tr key={agent.id} data-agent={agent.id}>
                  <Table.Td>{agent.id}</Table.Td>
                  <Table.Td>
                    <Badge color={agent.connected ? "teal" : "red"} autoContrast>{agent.connected ? "connected" : "away"}</Badge>
                  </Table.Td>
                  <Table.Td>{agent.newestMs > 0 ? duration(Math.max(0, now - agent.newestMs)) : "–"}</Table.Td>
                  <Table.Td>{agent.coverage === null ? "–" : coverage(agent.coverage)}</Table.Td>
                  <Table.Td title={agent.sources.map((s) => s.name).join("\n")}>{agent.sources.length}</Table.Td>
                  <Table.Td>{agent.series.toLocaleString("en")}</Table.Td>
                  <Table.Td>{agent.samples.toLocaleString("en")}</Table.Td>
                  <Table.Td>
                    {agent.spoolRecords.toLocaleString("en")} records, {bytes(agent.spoolBytes)}
                  </Table.Td>
                  <Table.Td>{duration(agent.clockOffsetMs)}</Table.Td>
                  <Table.Td>{agent.version}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </section>
  );
}
