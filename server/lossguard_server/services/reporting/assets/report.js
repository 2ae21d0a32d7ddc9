// Draws the figures of the data block: when they come into view, in the colours of the screen, all of them for paper.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("figures").textContent);
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const PAPER_WIDTH = 680; // pixels of an A4 page between its margins
  const NARROW = 760; // below it stages have room for their numbers only
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const hosts = [...document.querySelectorAll(".plot")].filter((host) => data.figures[host.dataset.figure]);
  const drawn = new Set();

  // Charts are made in light colours; every one of them has a dark one.
  function coloured(value) {
    if (typeof value === "string") return data.dark[value] ?? value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object" || "bdata" in value) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  }

  function layoutOf(figure, host, isPaper) {
    const width = isPaper ? PAPER_WIDTH : host.clientWidth;
    const annotations = (figure.layout.annotations ?? []).map((each) =>
      width < NARROW || each.text === "" ? { ...each, text: each.name } : each,
    );
    return { ...figure.layout, annotations, ...(isPaper ? { width } : { autosize: true }) };
  }

  function draw(host, isPaper) {
    const known = data.figures[host.dataset.figure];
    const figure = isDark.matches && !isPaper ? coloured(known) : structuredClone(known);
    const hidden = [...host.parentElement.querySelectorAll(".legend button[aria-pressed=false]")].map(
      (button) => button.dataset.line,
    );
    for (const trace of figure.data) if (hidden.includes(labelOf(trace))) trace.visible = false;
    drawn.add(host);
    Plotly.react(host, figure.data, layoutOf(figure, host, isPaper), config);
  }

  // What Plotly is given is made plain; the button says the name as it is.
  function labelOf(trace) {
    const text = (trace.name ?? "").replaceAll("\u200b", "");
    return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting || drawn.has(target)) continue;
        seen.unobserve(target);
        draw(target, false);
      }
    },
    { rootMargin: "600px" },
  );
  for (const host of hosts) seen.observe(host);

  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest(".legend button") : null;
    const host = button?.closest("figure")?.querySelector(".plot");
    if (!button || !host || !drawn.has(host)) return;
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isShown));
    const lines = host.data.flatMap((trace, at) => (labelOf(trace) === button.dataset.line ? [at] : []));
    Plotly.restyle(host, { visible: isShown }, lines);
  });

  isDark.addEventListener("change", () => drawn.forEach((host) => draw(host, false)));
  const folded = [...document.querySelectorAll("details")];
  addEventListener("beforeprint", () => {
    folded.forEach((each) => each.setAttribute("open", ""));
    hosts.forEach((host) => draw(host, true));
  });
  addEventListener("afterprint", () => {
    folded.forEach((each) => each.removeAttribute("open"));
    hosts.forEach((host) => draw(host, false));
  });
})();
