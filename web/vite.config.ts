import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { basename } from "node:path";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Every script of src/ is an island, built to a file of its own name: pages name it, so there is no hash in it. */
const entries = Object.fromEntries(
  readdirSync(here("src"))
    .filter((file) => /\.(ts|tsx|css)$/.test(file) && !file.endsWith(".d.ts"))
    .sort()
    .map((file) => [basename(file).replace(/\.\w+$/, ""), here(`src/${file}`)]),
);

export default defineConfig({
  base: "./",
  publicDir: here("public"),
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: here("../mlmd/web/static"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false, // It would put a script into each page, which the pages' policy forbids.
    cssCodeSplit: true,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rolldownOptions: {
      input: entries,
      preserveEntrySignatures: false,
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
