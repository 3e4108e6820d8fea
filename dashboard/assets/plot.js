// One chart: a uPlot in its figure, a legend of buttons, and the keyboard.

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const units = {
  "": (v, more = 0) => String(Number(v.toPrecision(5 + more))),
  percent: (v, more = 0) => (100 * v).toFixed(1 + more) + " %",
  bytes: (v, more = 0) => scaled(v, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], more),
  rate: (v, more = 0) => scaled(v, 1000, ["", "k", "M", "G"], more),
  lr: (v) => (v === 0 ? "0" : v.toExponential(2).replace(/\.?0+e/, "e")),
  seconds: (v) => (v < 1 ? Number((v * 1000).toPrecision(3)) + " ms" : Number(v.toPrecision(4)) + " s"),
};
// distinct writes the ticks of an axis with as many digits as tell them apart.
function distinct(vs, unit) {
  const real = vs.filter((v) => v !== null);
  for (let more = 0; ; more++) {
    const texts = vs.map((v) => (v === null ? "" : units[unit](v, more)));
    if (more > 3 || new Set(texts.filter(Boolean)).size === real.length) return texts;
  }
}

function scaled(v, by, names, more = 0) {
  let i = 0;
  while (Math.abs(v) >= by && i < names.length - 1) { v /= by; i++; }
  return Number(v.toPrecision(3 + more)) + (names[i] ? " " + names[i] : "");
}

const axes = {
  step: { label: "step", at: (d, i) => d.step[i] },
  tokens: { label: "tokens", at: (d, i) => d.tokens[i] },
  hours: { label: "since the start", at: (d, i) => (d.time[i] - d.start) / 3.6e6 },
};
const axisText = {
  step: (v) => v.toLocaleString("en"),
  tokens: (v) => scaled(v, 1000, ["", "k", "M", "G", "T"]),
  hours: (v) => (v >= 1 ? Number(v.toPrecision(3)) + " h" : Number((60 * v).toPrecision(3)) + " min"),
};

export function plot(figure, { several, view, runs, zoom, whole }) {
  const place = figure.querySelector(".plot");
  const unit = figure.dataset.unit;
  const stack = "stack" in figure.dataset;
  const format = (v) => (v === null || v === undefined ? "–" : units[unit](v));
  const off = new Set();
  let chart = null, lines = [], xs = [], steps = [], shape = "", cursorAt = null;

  const legend = document.createElement("div");
  legend.className = "legend";
  const canvas = document.createElement("div");
  canvas.className = "canvas";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "chart");
  canvas.setAttribute("aria-labelledby", "title-" + figure.dataset.chart);
  canvas.setAttribute("aria-describedby", (document.getElementById("says-" + figure.dataset.chart) ? "says-" + figure.dataset.chart + " " : "") + "keys");
  const voice = document.createElement("p");
  voice.className = "unseen";
  voice.setAttribute("role", "status");
  place.append(legend, canvas, voice);

  // smooth is an exponential mean that begins at the first value.
  function smooth(values) {
    if (!view.smooth || stack) return values;
    let m = null, weight = 0;
    return values.map((v) => {
      if (v === null || v === undefined) return v;
      m = (m ?? 0) * view.smooth + v * (1 - view.smooth);
      weight = weight * view.smooth + (1 - view.smooth);
      return m / weight;
    });
  }

  // gather makes the lines of the chart: their values over one x for all.
  function gather() {
    lines = [];
    const columns = figure.dataset.columns.split(" ").filter(Boolean);
    const names = figure.dataset.names.split(" ").filter(Boolean);
    const axis = axes[view.axis];
    const tables = [];
    runs.forEach((run, r) => {
      const d = run.data;
      if (!d) return;
      const x = d.step.map((_, i) => axis.at(d, i));
      const table = [x];
      const add = (l, values) => { lines.push(l); table.push(logarithmic() ? values.map((v) => (v > 0 ? v : null)) : values); };
      const has = columns.map((c, i) => [c, i]).filter(([c]) => d.columns[c]);
      let sum = null;
      has.forEach(([c, i], k) => {
        const col = d.columns[c];
        const index = several ? r : k;
        const ink = stack ? `--p-${names[i]}` : `--s${index % 8}`;
        const key = several ? run.id : c;
        const line = { key, name: several ? d.name : names[i], ink, swatch: stack ? names[i] : "s" + (index % 8), run: r, raw: col.mean };
        if (stack) {
          if (!off.has(key)) sum = col.mean.map((v, j) => (v ?? 0) + (sum ? sum[j] : 0));
          add(line, off.has(key) ? col.mean.map(() => null) : sum);
          return;
        }
        if (col.lo && !view.smooth) { add({ band: "hi", key, ink }, col.hi); add({ band: "lo", key, ink }, col.lo); }
        add(line, smooth(col.mean));
      });
      tables.push({ table, d });
    });
    if (!tables.length) return false;
    let data;
    if (tables.length === 1) {
      data = tables[0].table;
      steps = tables[0].d.step;
      const d = tables[0].d;
      if (figure.dataset.chart === "loss" && !several && d.held_out.length) {
        const held = d.held_out.filter((p) => p.step >= d.from && p.step <= d.to);
        if (held.length) {
          const hx = held.map((p) => between(d, p.step));
          lines.push({ key: "held", name: "held-out", ink: "--s1", swatch: "s1", dots: true, run: 0 });
          data = uPlot.join([data, ordered(hx, held.map((p) => p.value))]);
          lines.at(-1).raw = data.at(-1);
          steps = null;
        }
      }
    } else {
      data = uPlot.join(tables.map((t) => t.table));
      steps = view.axis === "step" ? data[0] : null;
      // What is read at the cursor is the nearest value of each run.
      lines.forEach((l, i) => { if (!l.band) l.raw = data[i + 1]; });
    }
    if (tables.length === 1 && steps === null && view.axis === "step") steps = data[0];
    xs = data[0];
    return data;
  }

  function logarithmic() { return view.log && "log" in figure.dataset; }

  // ordered sorts points by x and keeps the last of each.
  function ordered(x, y) {
    const m = new Map(x.map((v, i) => [v, y[i]]));
    const keys = [...m.keys()].sort((a, b) => a - b);
    return [keys, keys.map((k) => m.get(k))];
  }

  // between is where on the axis a step is.
  function between(d, step) {
    if (view.axis === "step") return step;
    let i = d.step.findIndex((s) => s >= step);
    if (i < 0) i = d.step.length - 1;
    return axes[view.axis].at(d, i);
  }

  // stepAt is the step at a place of the axis.
  function stepAt(x) {
    if (view.axis === "step") return x;
    const d = runs.find((r) => r.data)?.data;
    let i = d.step.findIndex((_, j) => axes[view.axis].at(d, j) >= x);
    if (i < 0) i = d.step.length - 1;
    return d.step[i];
  }

  function draw() {
    const data = gather();
    if (!data || !data[0].length) { buildLegend(); return; }
    const next = JSON.stringify([lines.map((l) => [l.key, l.band, off.has(l.key)]), view.axis, view.log, matchMedia("(prefers-color-scheme: dark)").matches]);
    if (chart && next === shape) {
      chart.setData(data);
    } else {
      shape = next;
      chart?.destroy();
      chart = new uPlot(options(), data, canvas);
      buildLegend();
    }
    readout(cursorAt);
  }

  function options() {
    const muted = colour("--muted"), grid = { stroke: colour("--grid"), width: 1 };
    const font = "11px " + getComputedStyle(document.body).fontFamily;
    const bands = [];
    const series = [{}];
    lines.forEach((l, i) => {
      const stroke = colour(l.ink);
      const show = !off.has(l.key);
      if (l.band) {
        series.push({ show, stroke: "transparent", width: 0, points: { show: false }, spanGaps: several });
        if (l.band === "lo") bands.push({ series: [i, i + 1], fill: alpha(stroke, Number(colour("--band"))) });
      } else if (l.dots) {
        series.push({ show, stroke, width: 0, paths: () => null, points: { show: true, size: 7, fill: colour("--panel"), stroke, width: 2 } });
      } else if (stack) {
        series.push({ show, stroke: "transparent", width: 0, fill: stroke, points: { show: false } });
      } else {
        series.push({ show, stroke, width: 1.6, points: { show: data1() }, spanGaps: several });
      }
    });
    if (stack) { // the largest sum first, so that the others are drawn over it
      const order = lines.map((_, i) => i);
      return { ...base(), series: [{}, ...order.map((i) => series[i + 1])], bands: stackBands() };
    }
    return { ...base(), series, bands };

    function data1() { return xs.length === 1; }
    function stackBands() {
      const shown = lines.map((l, i) => i + 1).filter((i) => !off.has(lines[i - 1].key));
      return shown.slice(1).map((i, k) => ({ series: [i, shown[k]], fill: colour(lines[i - 1].ink) }));
    }
    function base() {
      return {
        width: Math.max(200, canvas.clientWidth), height: figure.classList.contains("loss") ? 260 : 180,
        legend: { show: false }, padding: [10, 26, 0, 0],
        scales: { x: { time: false }, y: { distr: logarithmic() ? 3 : 1, range: stack ? (u, lo, hi) => [0, hi || 1] : undefined } },
        axes: [
          { stroke: muted, font, grid, ticks: grid, size: 30, values: (u, vs) => vs.map((v) => axisText[view.axis](v)) },
          { stroke: muted, font, grid, ticks: grid, size: (u, vs) => Math.max(44, 16 + 6.4 * Math.max(0, ...(vs ?? []).map((v) => v.length))), values: (u, vs) => distinct(vs, unit) },
        ],
        cursor: { y: false, sync: { key: "temper", setSeries: false, scales: ["x", null] }, drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
        hooks: { drawAxes: [marks], setCursor: [(u) => readout(u.cursor.idx)], setSelect: [selected], ready: [(u) => u.over.addEventListener("dblclick", whole)] },
      };
    }
  }

  function selected(u) {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    zoom(stepAt(from), stepAt(to));
  }

  // marks draws stages and events of a single run behind its curves.
  function marks(u) {
    const d = runs[0].data;
    if (several || !d) return;
    const { ctx } = u, { left, top, width, height } = u.bbox, ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    const at = (step) => Math.round(u.valToPos(between(d, step), "x", true)) + 0.5;
    const upright = (step, ink, dash, from = 0) => {
      ctx.strokeStyle = colour(ink);
      ctx.lineWidth = ratio;
      ctx.setLineDash(dash.map((n) => n * ratio));
      ctx.beginPath();
      ctx.moveTo(at(step), top + height * from);
      ctx.lineTo(at(step), top + height);
      ctx.stroke();
    };
    for (const m of d.marks) {
      if (m.kind === "checkpoint") upright(m.step, "--muted", [], 0.96);
      else upright(m.step, m.kind === "fault" || m.kind === "skipped" ? "--bad" : "--s1", [3, 3]);
    }
    ctx.setLineDash([]);
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    ctx.fillStyle = colour("--muted");
    ctx.font = `${11 * ratio}px ` + getComputedStyle(document.body).fontFamily;
    let clear = -Infinity;
    for (const s of d.stages) {
      const x = at(s.step);
      upright(s.step, "--line", []);
      if (x < clear || x > left + width) continue;
      const from = Math.max(x, left) + 4 * ratio;
      ctx.fillText(s.text, from, top + 12 * ratio);
      clear = from + ctx.measureText(s.text).width + 8 * ratio;
    }
    ctx.restore();
  }

  function buildLegend() {
    legend.textContent = "";
    for (const l of lines.filter((l) => !l.band)) {
      const b = document.createElement("button");
      b.type = "button";
      b.setAttribute("aria-pressed", String(!off.has(l.key)));
      const i = document.createElement("i");
      i.className = "swatch " + l.swatch;
      b.append(i, l.name);
      b.addEventListener("click", () => {
        off.has(l.key) ? off.delete(l.key) : off.add(l.key);
        b.setAttribute("aria-pressed", String(!off.has(l.key)));
        draw();
        [...legend.querySelectorAll("button")].find((o) => o.textContent === b.textContent)?.focus();
      });
      const o = document.createElement("output");
      o.setAttribute("aria-live", "off");
      l.out = o;
      const item = document.createElement("span");
      item.append(b, o);
      legend.append(item);
    }
    const x = document.createElement("span");
    x.className = "at";
    legend.append(x);
  }

  // nearest is the value of a line at an index, or the last one before it.
  function nearest(l, idx) {
    for (let i = idx; i >= 0; i--) if (l.raw[i] !== null && l.raw[i] !== undefined) return l.raw[i];
    return null;
  }
  function readout(idx) {
    cursorAt = idx ?? null;
    const i = cursorAt ?? xs.length - 1;
    const texts = [];
    for (const l of lines) {
      if (l.band || !l.raw) continue;
      const text = format(stack ? l.raw[i] : nearest(l, i));
      const out = [...legend.querySelectorAll("output")][texts.length];
      if (out) out.textContent = text;
      texts.push(l.name + " " + text);
    }
    const at = legend.querySelector(".at");
    const x = i >= 0 && xs.length ? axisText[view.axis](xs[i]) : "";
    if (at) at.textContent = x && (view.axis === "step" ? "at step " + x : "at " + x);
    return [x && "step" === view.axis ? "step " + x : x, ...texts].join(", ");
  }

  canvas.addEventListener("keydown", (e) => {
    if (!chart || e.ctrlKey || e.metaKey || e.altKey) return;
    const last = xs.length - 1, by = e.shiftKey ? 10 : 1;
    const at = cursorAt ?? last;
    let to = null;
    if (e.key === "ArrowLeft") to = Math.max(0, at - by);
    else if (e.key === "ArrowRight") to = Math.min(last, at + by);
    else if (e.key === "Home") to = 0;
    else if (e.key === "End") to = last;
    else if (e.key === "0" || e.key === "Escape") whole();
    else if (e.key === "+" || e.key === "=" || e.key === "-") {
      const lo = stepAt(xs[0]), hi = stepAt(xs[last]), mid = stepAt(xs[at]);
      const half = ((hi - lo) * (e.key === "-" ? 1 : 0.25));
      zoom(mid - half, mid + half);
    } else return;
    e.preventDefault();
    if (to !== null) {
      chart.setCursor({ left: chart.valToPos(xs[to], "x"), top: 10 });
      voice.textContent = readout(to);
    }
  });
  new ResizeObserver(() => {
    if (chart && canvas.clientWidth > 0 && Math.abs(chart.width - canvas.clientWidth) > 1) chart.setSize({ width: canvas.clientWidth, height: chart.height });
  }).observe(canvas);

  return { draw, get chart() { return chart; }, figure };
}

// alpha makes a colour of the style sheet transparent.
function alpha(hex, a) {
  const h = hex.replace("#", "");
  const full = h.length === 3 ? [...h].map((c) => c + c).join("") : h;
  return "#" + full + Math.round(a * 255).toString(16).padStart(2, "0");
}
