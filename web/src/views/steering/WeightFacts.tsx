/** What a weight makes of its loss now, and within which bounds it may be moved; what is not finite is said so. */
import type { JSX } from "preact";
import type { Component } from "../../lib/models";
import { type Scale, boundsText, factsText, isUnsound } from "../../lib/weights";
import { HealthLight } from "../HealthLight";

interface Props {
  readonly component: Component;
  readonly scale: Scale;
  readonly isGated: boolean;
}

export function WeightFacts({ component, scale, isGated }: Props): JSX.Element {
  const isBad = isUnsound(component);
  return (
    <p class="weight-preview number" data-testid={`weight-facts-${component.name}`}>
      {isBad && <HealthLight health="critical" />} <span class={isBad ? "tone-critical" : ""}>{factsText(component)}</span>
      {boundsText(component, scale, isGated)}
    </p>
  );
}
