// The heat map of experts: a row for each block, a column for each expert, its
// colour the load over the mean of the block.
import { colour } from "./plot.js";

export function heat(figure) {
  if (!figure) return null;
  const canvas = document.getElementById("heat-canvas");
  const says = document.getElementById("heat-says");
  let counts = [], span = "", at = null;

  async function load() {
    const answer = await fetch(`/api/runs/${figure.dataset.run}/routing?span=${figure.dataset.span}`);
    if (!answer.ok) return;
    const d = await answer.json();
    counts = d.counts;
    span = d.span;
    draw();
  }
  const mean = (row) => row.reduce((a, b) => a + b, 0) / row.length;

  function draw() {
    const columns = Math.max(1, ...counts.map((r) => r.length));
    const width = canvas.clientWidth, line = Math.max(8, Math.min(22, Math.floor(420 / Math.max(1, counts.length))));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(counts.length * line * ratio);
    canvas.style.height = counts.length * line + "px";
    const c = canvas.getContext("2d");
    const cold = rgb(colour("--cold")), even = rgb(colour("--even")), hot = rgb(colour("--hot"));
    const w = canvas.width / columns, h = line * ratio, gap = w > 6 ? 1 : 0;
    counts.forEach((row, b) => {
      const m = mean(row);
      row.forEach((n, e) => {
        const x = m > 0 ? n / m : 0;
        c.fillStyle = x < 1 ? mix(cold, even, x) : mix(even, hot, Math.min(1, x - 1));
        const left = Math.round(e * w), top = Math.round(b * h);
        c.fillRect(left, top, Math.round((e + 1) * w) - left - gap, Math.round((b + 1) * h) - top - 1);
      });
    });
    if (at) {
      c.strokeStyle = colour("--ink");
      c.lineWidth = 2 * ratio;
      c.strokeRect(at.e * w, at.b * h, w, h - 1);
    }
  }
  function read(b, e) {
    if (!counts.length) return;
    b = Math.max(0, Math.min(counts.length - 1, b));
    e = Math.max(0, Math.min(counts[b].length - 1, e));
    at = { b, e };
    const n = counts[b][e], m = mean(counts[b]);
    says.textContent = `Block ${b}, expert ${e}: ${n.toLocaleString("en")} tokens, ${m > 0 ? (n / m).toFixed(2) : "0"} times the mean (${span})`;
    draw();
  }
  canvas.addEventListener("pointermove", (ev) => {
    const box = canvas.getBoundingClientRect();
    const columns = Math.max(1, ...counts.map((r) => r.length));
    read(Math.floor((ev.clientY - box.top) / box.height * counts.length), Math.floor((ev.clientX - box.left) / box.width * columns));
  });
  canvas.addEventListener("keydown", (ev) => {
    const a = at ?? { b: 0, e: 0 };
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[ev.key];
    if (move) read(at ? a.b + move[0] : 0, at ? a.e + move[1] : 0);
    else if (ev.key === "Home") read(a.b, 0);
    else if (ev.key === "End") read(a.b, Infinity);
    else return;
    ev.preventDefault();
  });
  new ResizeObserver(draw).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  load();
  return { refresh() { if (!figure.dataset.span) load(); } };
}

function rgb(hex) {
  const h = hex.replace("#", "");
  return [0, 2, 4].map((i) => parseInt(h.slice(i, i + 2), 16));
}
function mix(a, b, x) {
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * x)).join(" ")})`;
}
