// Runs before a peer's own scripts: keeps when each chart's line was drawn, in ms since performance.timeOrigin.
// trackio draws on a canvas, TensorBoard in an SVG; the first line of a chart counts, which is in the
// peers' favour.
(() => {
  const drawn = new Map();
  const note = (element) => {
    if (element && !drawn.has(element)) drawn.set(element, performance.now());
  };
  const stroke = CanvasRenderingContext2D.prototype.stroke;
  CanvasRenderingContext2D.prototype.stroke = function (...given) {
    note(this.canvas);
    return stroke.apply(this, given);
  };
  const look = () => {
    for (const line of document.querySelectorAll("line-chart svg path[d]")) note(line.closest("line-chart"));
    requestAnimationFrame(look);
  };
  look();
  window.drawnInView = () =>
    [...drawn].filter(([element]) => {
      const { top, bottom, height } = element.getBoundingClientRect();
      return element.isConnected && height > 0 && bottom > 0 && top < innerHeight;
    }).map(([, at]) => at);
})();
