/**
 * Which steps the charts show: as they are drawn, with room where the run goes on, and as they are told and exported.
 *
 * Rules of this file: signals are read, so that a component that asks is rendered again when they change.
 */
import type { Window } from "../../lib/fold";
import { roomyWindow, shownSteps } from "../../lib/room";
import type { Page } from "../context";

export function drawnWindow({ range, store, isGoingOn }: Page): Window | null {
  return roomyWindow(range.value, store.extent(), isGoingOn.value);
}

export function shownWindow({ range, store, isGoingOn }: Page): Window | null {
  return shownSteps(range.value, store.extent(), isGoingOn.value);
}
