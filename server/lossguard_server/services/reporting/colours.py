"""The colours of a report, the same as the page's (web/src/style/tokens.css; test_report_colours), in light and dark.

Rules of this file: charts are made of the light ones; the report's script puts the dark ones in their place, so no two
names that charts use have one light colour and two dark ones. Text has 4.5:1 or more upon its ground (WCAG AA).
"""

LIGHT = {
    "ground": "#eef1f4",
    "surface": "#ffffff",
    "raised": "#f4f6f9",
    "line": "#d5dce4",
    "control-line": "#7c8998",
    "ink": "#16202b",
    "ink-muted": "#526070",
    "accent": "#1b57c2",
    "ok": "#15795a",
    "warning": "#8f5e00",
    "critical": "#9c0f22",
    "grid": "#e7ebf0",
    "band": "#f1f4f8",
    "band-line": "#c3ccd6",
    "series-0": "#0e89fe",
    "series-1": "#580739",
    "series-2": "#01717a",
    "series-3": "#450298",
    "series-4": "#6d4e1d",
    "series-5": "#848c96",
    "series-6": "#09506e",
    "series-7": "#9a49bb",
}
DARK = {
    "ground": "#0d1115",
    "surface": "#151a20",
    "raised": "#1d232b",
    "line": "#2b333d",
    "control-line": "#66727f",
    "ink": "#e4e9ee",
    "ink-muted": "#9aa7b5",
    "accent": "#7db2ff",
    "ok": "#5fe3ad",
    "warning": "#f5b93a",
    "critical": "#fb6a76",
    "grid": "#222932",
    "band": "#1a2027",
    "band-line": "#3a444f",
    "series-0": "#3f7ef8",
    "series-1": "#c76798",
    "series-2": "#9bf1fb",
    "series-3": "#c89dfd",
    "series-4": "#e8cc9d",
    "series-5": "#bcc8db",
    "series-6": "#64acc9",
    "series-7": "#a770c8",
}
PALETTE = 8
DASHES = ("solid", "6px,3px", "2px,3px", "8px,3px,2px,3px")


def look_colour(look: int) -> str:
    """The light colour of a look; below 0: the ink."""
    return LIGHT["ink"] if look < 0 else LIGHT[f"series-{look % PALETTE}"]


def look_dash(look: int) -> str:
    """Beyond the palette the dash changes, so that two lines never look the same."""
    return "solid" if look < 0 else DASHES[look // PALETTE % len(DASHES)]


def dark_of_light() -> dict[str, str]:
    """Which dark colour stands for which light one."""
    return {light: DARK[name] for name, light in LIGHT.items()}


def as_css() -> str:
    """Both as custom properties; paper is light."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in of.items()) for of in (LIGHT, DARK))
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
