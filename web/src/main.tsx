/**
 * The roof: builds every part and wires them; with roof/ the only place that knows both the edges and the views.
 */
import { options, render } from "preact";
import { RedrawLoop } from "./charts/scheduler";
import { Address } from "./io/address";
import { Api } from "./io/api";
import { Herald } from "./io/browser";
import { HttpChannelsDesk } from "./io/channelsDesk";
import { HttpCompareDesk } from "./io/compareDesk";
import { HttpControlDesk } from "./io/controlDesk";
import { HttpEvidenceDesk } from "./io/evidenceDesk";
import { HttpHomeDesk } from "./io/homeDesk";
import { HttpPoliciesDesk } from "./io/policiesDesk";
import { HttpRulesDesk } from "./io/rulesDesk";
import { Session } from "./io/session";
import { Chime } from "./io/sound";
import { TokenBox } from "./io/token";
import { type Action, reduce } from "./lib/state";
import { PointStore } from "./lib/store";
import { forgetOldTrees } from "./roof/forgetting";
import { actionsOf, lookAt } from "./roof/actions";
import { Crier } from "./roof/crier";
import { Drawing } from "./roof/drawing";
import { gapsIn } from "./roof/gaps";
import { followCharts, followPlaces, followTab, followTheme, keepTime } from "./roof/following";
import { Journeys } from "./roof/journeys";
import { newSignals } from "./roof/signals";
import { App } from "./views/App";
import { type Page, PageContext } from "./views/context";
import "./style/tokens.css";
import "./style/layout.css";
import "./style/parts.css";
import "./style/charts.css";
import "./style/cards.css";
import "./style/incidents.css";
import "./style/desks.css";
import "./style/steering.css";
import "./style/compare.css";
import "./style/home.css";

const base = new URL(document.baseURI);
base.hash = "";
const nowMs = (): number => performance.now();
const box = new TokenBox(sessionStorage);
box.takeFromAddress();
const address = new Address();
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const herald = new Herald((news) => lookAt(signals, journeys, news));
const signals = newSignals({
  route: address.route(),
  storage: localStorage,
  nowMs: nowMs(),
  bell: herald.bell(),
  systemIsDark: systemIsDark.matches,
});
const chime = new Chime(nowMs);
const crier = new Crier(signals, herald, chime, localStorage);
const api = new Api(base, () => box.token());
const store = new PointStore();
const loop = new RedrawLoop();
const gaps = gapsIn(signals, store);
const drawing = new Drawing(signals, store, loop, nowMs);
const journeys: Journeys = new Journeys({
  signals,
  address,
  box,
  session: () => session,
  lastStep: () => store.extent()?.[1] ?? null,
  say: (problem) => dispatch({ type: "problem", problem }),
});

function dispatch(action: Action): void {
  const before = signals.state.value;
  signals.state.value = reduce(before, action);
  crier.heard(before, signals.state.value);
}

const session: Session = new Session({
  api,
  socketAddress: Object.assign(new URL("ws/live", base), { protocol: base.protocol === "https:" ? "wss:" : "ws:" }),
  store,
  state: () => signals.state.value,
  dispatch,
  nowMs,
  inView: () => loop.inView(),
  columns: () => signals.columns.value,
  lastSteps: () => journeys.lastSteps(),
  onPoints: (isNew) => drawing.pointsCame(isNew),
  onHistory: () => drawing.historyCame(),
  onRollback: (to) => {
    const range = signals.range.value;
    // A window of steps that are taken back has nothing to show.
    if (range.kind === "fixed" && range.from >= to) journeys.setRange({ kind: "all" });
    drawing.rolledBack();
  },
  onMissing: () => journeys.missing(),
  onSelected: (run) => {
    signals.names.value = [];
    signals.crowds.value = [];
    signals.range.value = { kind: "all" };
    signals.explained.value = null;
    signals.pointsAtMs.value = null;
    signals.cursor.value = null;
    journeys.arrived(run);
  },
});
const control = new HttpControlDesk({ api, state: () => signals.state.value, dispatch });

followTheme(signals, localStorage, systemIsDark);
followPlaces(signals, journeys);
followCharts(signals, loop, localStorage);
followTab(signals);
signals.columns.subscribe(() => session.resized());
keepTime(signals, nowMs, api, crier);
chime.listen(window);

const page: Page = {
  ...signals,
  gaps,
  store,
  loop,
  actions: actionsOf({ signals, api, session, journeys, crier, control, box, dispatch }),
  desks: {
    home: new HttpHomeDesk({ api, dispatch, nowMs, storage: sessionStorage }),
    rules: new HttpRulesDesk(api),
    policies: new HttpPoliciesDesk(api),
    channels: new HttpChannelsDesk(api),
    compare: new HttpCompareDesk(api),
    evidence: new HttpEvidenceDesk(api),
    control,
  },
  serverAddress: base.href.replace(/\/$/, ""),
};
forgetOldTrees(options);
const root = document.getElementById("app");
if (root !== null) {
  render(
    <PageContext.Provider value={page}>
      <App />
    </PageContext.Provider>,
    root,
  );
}
session.start(journeys.wantedRun());
journeys.watch();
