import { Alert, Badge, Group, Stack, Text, Title } from "@mantine/core";
import * as api from "./api";
import { duration } from "./format";
import { usePoll } from "./poll";

/** Pending and firing alerts, the firing ones first. */
export function Alerts() {
  const { data, error } = usePoll(api.alerts, 2_000);
  const sorted = [...(data ?? [])].sort((a, b) => a.state.localeCompare(b.state) || a.activeAt.localeCompare(b.activeAt));
  return (
    <section aria-labelledby="alerts">
      <Title order={2} id="alerts" mb="sm">
        Active alerts
      </Title>
      {error && <Alert color="red">{error}</Alert>}
      {data?.length === 0 && <Text c="dimmed">No alert is active.</Text>}
      <Stack gap="xs">
        {sorted.map((alert) => (
          <Alert
            key={JSON.stringify(alert.labels)}
            color={alert.state === "firing" ? "red" : "yellow"}
            title={alert.labels["alertname"] ?? "(no name)"}
            data-alert={alert.labels["alertname"]}
          >
            <Text size="sm">{alert.annotations["summary"] ?? alert.annotations["description"] ?? ""}</Text>
            <Group gap="xs" mt={4}>
              <Badge color={alert.state === "firing" ? "red" : "yellow"} autoContrast>{alert.state}</Badge>
              <Text size="xs">for {duration(Date.now() - Date.parse(alert.activeAt))}</Text>
              {Object.entries(alert.labels)
                .filter(([name]) => name !== "alertname")
                .map(([name, text]) => (
                  <Badge key={name} variant="outline" color="gray" tt="none">
                    {name}={text}
                  </Badge>
                ))}
            </Group>
          </Alert>
        ))}
      </Stack>
    </section>
  );
}
