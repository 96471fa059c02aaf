import { Alert, Group, Table, Text, Title } from "@mantine/core";
import * as api from "./api";
import { finality, shown } from "./format";
import { StateBadge } from "./Kpis";
import { usePoll } from "./poll";

/** What is promised, with target, value and state; nothing at all while nothing is promised. */
export function Slas() {
  const { data, error } = usePoll(api.sla, 5_000);
  if (!error && (!data || data.sla_checks.length === 0)) return null;
  return (
    <section aria-labelledby="slas">
      <Group mb="sm">
        <Title order={2} id="slas">
          Service levels
        </Title>
        {data && <StateBadge state={data.overall_status} />}
        {data?.in_maintenance && <Text size="sm">planned work is under way</Text>}
      </Group>
      {error && <Alert color="red">{error}</Alert>}
      <Table verticalSpacing={4}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Promise</Table.Th>
            <Table.Th>Tier</Table.Th>
            <Table.Th>Target</Table.Th>
            <Table.Th>Value</Table.Th>
            <Table.Th>Window</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>Final</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {data?.sla_checks.map((check) => (
            <Table.Tr key={`${check.metric} ${check.tier}`} data-sla={check.metric} data-tier={check.tier}>
              <Table.Td>{check.metric.replaceAll("_", " ")}</Table.Td>
              <Table.Td>{check.tier || "all"}</Table.Td>
              <Table.Td>{shown(check.target, check.unit)}</Table.Td>
              <Table.Td>{shown(check.actual, check.unit)}</Table.Td>
              <Table.Td>{check.evaluation_window || "now"}</Table.Td>
              <Table.Td>
                <StateBadge state={check.status} />
              </Table.Td>
              <Table.Td data-finality={check.finality?.state ?? ""}>{finality(check.finality) || "–"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}
