// Curves of one run, or of several laid over each other, with one range for all
// charts. What is drawn comes from the server in at most so many points; the
// extremes of what a point stands for are drawn as a band around it.
import { plot } from "./plot.js";

const points = 900;
const tooMany = 1800; // points, when appended ones are fetched anew as fewer

export function board(root) {
  if (!root || !window.uPlot) return null;
  const several = root.dataset.runs !== undefined;
  const ids = several ? root.dataset.runs.split(" ") : [document.body.dataset.live];
  const runs = ids.map((id) => ({ id, data: null, asked: 0 }));
  const view = { axis: "step", from: null, to: null, smooth: 0, log: false };
  const charts = [];
  const known = new Set();
  // adopt makes plots of the figures that have none yet.
  function adopt() {
    const before = charts.length;
    for (const f of document.querySelectorAll("figure[data-chart]")) {
      if (known.has(f)) continue;
      known.add(f);
      charts.push(plot(f, { several, view, runs, zoom, whole }));
    }
    return charts.length > before;
  }

  async function fetchRun(run, fresh) {
    const d = run.data;
    const q = new URLSearchParams({ points });
    if (view.from !== null) { q.set("from", view.from); q.set("to", view.to); }
    const append = !fresh && d && view.from === null && d.width === 1 && d.step.length < tooMany;
    if (append) q.set("from", d.steps);
    else if (!fresh && d && view.from === null && d.width > 1 && Date.now() - run.asked < 10000) return false;
    run.asked = Date.now();
    const answer = await fetch(`/api/runs/${run.id}/series?${q}`);
    if (!answer.ok) throw new Error(answer.status);
    const next = await answer.json();
    if (!append) { run.data = next; return true; }
    if (next.steps < d.steps || next.width > 1 || (next.step.length && next.from !== d.steps)) return fetchRun(run, true);
    const n = d.step.length;
    for (const k of ["step", "tokens", "time"]) d[k].push(...next[k]);
    for (const [name, c] of Object.entries(next.columns)) {
      d.columns[name] ??= { mean: Array(n).fill(null) };
      d.columns[name].mean.push(...c.mean);
    }
    for (const c of Object.values(d.columns)) while (c.mean.length < d.step.length) c.mean.push(null);
    for (const k of ["steps", "to", "marks", "stages", "held_out", "start"]) d[k] = next[k];
    return true;
  }

  let pending = false, next = null; // next: what was asked for meanwhile
  async function load(fresh) {
    if (pending) { next = next || fresh; return; }
    pending = true;
    let got = [];
    try {
      got = await Promise.all(runs.map((r) => fetchRun(r, fresh)));
    } catch { /* no answer: the next change asks again */ }
    pending = false;
    if (next !== null) {
      const again = next;
      next = null;
      load(again || (fresh && !got.length));
    }
    if (adopt() || fresh || got.some(Boolean)) draw();
  }
  function draw() { for (const c of charts) c.draw(); }

  function zoom(from, to) {
    const end = Math.max(...runs.map((r) => r.data?.steps ?? 0));
    view.from = Math.max(0, Math.floor(from));
    view.to = Math.min(end, Math.ceil(to));
    if (view.to - view.from < 2) view.from = Math.max(0, view.to - 2);
    if (view.from === 0 && view.to >= end) { view.from = view.to = null; }
    inputs();
    load(true);
  }
  function whole() { view.from = view.to = null; inputs(); load(true); }

  const el = (id) => document.getElementById(id);
  function inputs() {
    el("from").value = view.from === null ? "" : view.from + 1;
    el("to").value = view.to === null ? "" : view.to;
  }
  el("board").addEventListener("submit", (e) => {
    e.preventDefault();
    const end = Math.max(...runs.map((r) => r.data?.steps ?? 0));
    const from = Number(el("from").value || 1), to = Number(el("to").value || end);
    if (to > from) zoom(from - 1, to);
  });
  el("whole").addEventListener("click", whole);
  el("axis").addEventListener("change", (e) => { view.axis = e.target.value; draw(); });
  el("smooth").addEventListener("change", (e) => { view.smooth = Number(e.target.value); draw(); });
  el("log").addEventListener("change", (e) => { view.log = e.target.checked; draw(); });
  for (const m of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(m).addEventListener("change", draw);
  adopt();
  load(true);
  return { refresh: () => load(false), charts, view };
}
