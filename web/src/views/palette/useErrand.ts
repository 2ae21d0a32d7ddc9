/** Does what was chosen in the palette; what changes a run is only opened. */
import type { Signal } from "@preact/signals";
import type { Deed } from "../../lib/errands";
import { usePage } from "../context";
import { leadTo } from "../leadTo";
import type { Engine } from "../rules/useEngine";
import type { Open } from "../useOpen";

type Doing = { readonly [kind in Deed["kind"]]: (deed: Extract<Deed, { readonly kind: kind }>) => void };

export function useErrand(open: Signal<Open | null>, engine: Engine): (deed: Deed) => void {
  const { actions } = usePage();
  const doing: Doing = {
    go: ({ route }) => actions.go(route),
    chart: ({ id }) => leadTo(`[data-testid="chart-${CSS.escape(id)}"]`),
    part: ({ id }) => leadTo(`#${id}`),
    order: (deed) => (open.value = deed),
    theme: ({ choice }) => actions.chooseTheme(choice),
    follow: () => actions.setRange({ kind: "all" }),
    copy: () => actions.copyLink(),
    dialog: ({ which }) => {
      if (which === "keys") open.value = { kind: "keys" };
      else engine.open.value = which;
    },
  };
  return (deed) => (doing[deed.kind] as (deed: Deed) => void)(deed);
}
