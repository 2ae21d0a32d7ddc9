/**
 * Builds the page into the server's package.
 *
 * Rules: nothing inline and nothing from elsewhere, because the server's CSP allows 'self' only; addresses are
 * relative, so that the page works behind a proxy's prefix too.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../server/lossguard_server/static",
    emptyOutDir: true,
    // A data: font or script would be refused by the CSP; files are always allowed.
    assetsInlineLimit: 0,
    // The polyfill is an inline-free module of its own, but no browser that has dialogs and ES2022 needs it.
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node", css: true },
});
