/**
 * Rules of the page's code: strict types, small files, imports that point only downwards.
 *
 * Floors: lib (ground) < io, charts < views < roof/ and main.tsx (roof). Exactly one file knows uPlot, one knows Plotly.
 */
import tseslint from "typescript-eslint";

const floor = (files, patterns, message, packages = ["uplot"]) => ({
    files,
    ignores: ["src/**/*.test.ts", "src/**/*.test.tsx"],
    rules: {
        "no-restricted-imports": [
            "error",
            {
                paths: packages.map((name) => ({ name, message: "only charts/uplot.ts and uplotSeries.ts know uPlot" })),
                patterns: [{ group: patterns, message }],
            },
        ],
    },
});

export default tseslint.config(
    { ignores: ["node_modules/", "dist/"] },
    ...tseslint.configs.strictTypeChecked,
    {
        languageOptions: {
            parserOptions: {
                projectService: { allowDefaultProject: ["eslint.config.js"] },
                tsconfigRootDir: import.meta.dirname,
            },
        },
        rules: {
            "max-lines": ["error", 400],
            "max-lines-per-function": ["error", { max: 60, skipComments: true }],
            "no-restricted-properties": [
                "error",
                { property: "innerHTML", message: "names come from the wire; only text nodes" },
                { property: "outerHTML", message: "names come from the wire; only text nodes" },
                { property: "insertAdjacentHTML", message: "names come from the wire; only text nodes" },
            ],
            "no-restricted-syntax": [
                "error",
                {
                    selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
                    message: "names come from the wire; only text nodes",
                },
                {
                    selector: "JSXAttribute[name.name='style'] > Literal",
                    message: "use a class; the CSP refuses inline styles",
                },
            ],
            // Reading a signal subscribes to it: `void signal.value` says that this is all that is wanted.
            "@typescript-eslint/no-meaningless-void-operator": "off",
            "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
            "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
        },
    },
    floor(
        ["src/lib/**"],
        ["../*", "preact", "preact/*", "@preact/*"],
        "lib is pure: no DOM, no clock, no chart, no framework",
    ),
    floor(["src/io/**"], ["../charts/*", "../views/*", "../roof/*"], "io knows only lib"),
    floor(["src/charts/**"], ["../io/*", "../views/*", "../roof/*"], "charts know only lib"),
    floor(["src/charts/uplot.ts", "src/charts/uplotSeries.ts"], ["../io/*", "../views/*", "../roof/*"], "charts know only lib", []),
    floor(["src/views/**"], ["../io/*", "../../io/*", "../roof/*", "../../roof/*"], "views act through the Actions they are given"),
    { files: ["src/**/*.test.ts", "src/**/*.test.tsx"], rules: { "max-lines-per-function": "off" } },
    { files: ["eslint.config.js"], ...tseslint.configs.disableTypeChecked },
);
