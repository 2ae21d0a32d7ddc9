/** Brings a part of the page into view and gives it the focus, once what covers it is gone. */
export function leadTo(selector: string): void {
  requestAnimationFrame(() => {
    const found = document.querySelector<HTMLElement>(selector);
    if (found === null) return;
    const part = found.closest<HTMLElement>("section") ?? found;
    if (!part.hasAttribute("tabindex")) part.tabIndex = -1;
    part.scrollIntoView({ block: "start" });
    part.focus({ preventScroll: true });
  });
}
