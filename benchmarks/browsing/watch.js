// Runs before the page's own scripts: keeps when what was drawn, when a mouse button went up, when points were answered.
// All times are milliseconds since performance.timeOrigin.
(() => {
  const kept = { drawn: [], released: [], answers: [], long: [] };
  window.kept = kept;
  const FRAME_MS = 1000 / 60;
  const later = [];
  const painted = new MessageChannel();
  painted.port2.onmessage = () => {
    for (const [atMs, chart, step] of later.splice(0)) kept.drawn.push([Math.max(atMs, performance.now()), chart, step]);
  };
  const note = (host) => {
    const step = host.dataset.lastStep;
    if (!step) return;
    // The attribute is set in the callback that paints the canvas: its pixels are out when the next frame could begin.
    // To ask for that frame would cost the page as much as some of its redraws.
    later.push([document.timeline.currentTime + FRAME_MS, host.dataset.testid, Number(step)]);
    if (later.length === 1) painted.port1.postMessage(null);
  };
  const watch = () =>
    new MutationObserver((changes) => {
      for (const host of new Set(changes.map((change) => change.target))) note(host);
    }).observe(document.documentElement, { subtree: true, attributes: true, attributeFilter: ["data-last-step"] });
  if (document.documentElement) watch();
  else document.addEventListener("readystatechange", watch, { once: true });
  window.addEventListener("mouseup", (event) => kept.released.push(event.timeStamp), { capture: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      if (entry.name.includes("/points?")) kept.answers.push([entry.startTime, entry.responseEnd, entry.transferSize]);
  }).observe({ type: "resource", buffered: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) kept.long.push([entry.startTime, entry.duration]);
  }).observe({ type: "longtask", buffered: true });
})();
