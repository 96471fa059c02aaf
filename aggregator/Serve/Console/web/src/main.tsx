import "@mantine/core/styles.css";
import "uplot/dist/uPlot.min.css";
import { AppShell, Container, createTheme, Group, MantineProvider, Stack, Text, Title } from "@mantine/core";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Agents } from "./Agents";
import { Alerts } from "./Alerts";
import * as api from "./api";
import { Completeness } from "./Completeness";
import { Kpis } from "./Kpis";
import { Slas } from "./Slas";
import { usePoll } from "./poll";
import { Slos } from "./Slos";

// Mantine writes <style> elements; the aggregator puts the page's CSP nonce here.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;
const theme = createTheme({ fontFamily: "system-ui, sans-serif" });

function App() {
  const { data: build } = usePoll(api.build, 60_000);
  return (
    <AppShell header={{ height: 52 }} padding="md">
      <AppShell.Header px="md">
        <Group h="100%" justify="space-between">
          <Title order={1} size="h3">
            Bellwether
          </Title>
          <Text size="sm" c="dimmed">
            {build ? `aggregator ${build.version}` : ""}
          </Text>
        </Group>
      </AppShell.Header>
      <AppShell.Main>
        <Container size="xl" px={0}>
          <Stack gap="xl">
            <Kpis />
            <Slos />
            <Slas />
            <Alerts />
            <Agents />
            <Completeness />
          </Stack>
        </Container>
      </AppShell.Main>
    </AppShell>
  );
}

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce ?? ""}>
      <App />
    </MantineProvider>
  </StrictMode>,
);
