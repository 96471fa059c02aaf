import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

// The built page is committed (a fresh machine has no Node.js); this file lets a test see that it was built from these sources.
function sourcesHash(): Plugin {
  return {
    name: "sources-hash",
    closeBundle() {
      const hash = createHash("sha256");
      const files = ["index.html", "package-lock.json", ...readdirSync("src").sort().map((f) => join("src", f))];
      for (const file of files) hash.update(readFileSync(file));
      writeFileSync("../dist/sources.sha256", hash.digest("hex") + "\n");
    },
  };
}

export default defineConfig({
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      // "use client" in libraries means nothing in a page that has no server rendering.
      onwarn: (warning, show) => (warning.code === "MODULE_LEVEL_DIRECTIVE" ? undefined : show(warning)),
    },
  },
  plugins: [sourcesHash()],
});
