// Keeps a page up to date: the server says which runs changed, and the page is
// asked for again and taken over where it differs. Focus, open details, what is
// typed and everything marked data-keep stay.

const least = 1000; // milliseconds between two looks
const spoken = 20000; // between two announcements of progress

export function live({ changed }) {
  const page = document.body.dataset.page;
  const wanted = document.body.dataset.live;
  ages();
  setInterval(ages, 5000);
  if (!wanted) return;
  const status = document.getElementById("link");
  let source = null, timer = 0, last = 0, busy = false, again = false, all = false;
  const rows = new Set();

  const say = (text, on) => {
    if (status.textContent !== text) status.textContent = text;
    status.className = "link " + (on ? "on" : "off");
  };
  const soon = () => {
    if (timer) return;
    timer = setTimeout(look, Math.max(0, last + least - Date.now()));
  };
  async function look() {
    timer = 0;
    if (busy) { again = true; return; }
    busy = true;
    last = Date.now();
    try {
      let address = location.pathname + location.search;
      const some = page === "list" && !all && rows.size > 0 && rows.size <= 40;
      if (some) address = "/?" + new URLSearchParams([...rows].map((id) => ["rows", id]));
      all = false;
      rows.clear();
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.status);
      const answered = Date.now();
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      ahead = answered - Number(next.body.dataset.now);
      if (some) {
        for (const row of next.querySelectorAll("#rows > tr")) {
          const old = document.getElementById(row.id);
          if (old) keepFocus(() => morph(old, row)); else all = true;
        }
        morph(document.getElementById("counts"), next.getElementById("counts"));
        if (all) soon();
      } else {
        keepFocus(() => morph(document.getElementById("main"), next.getElementById("main")));
      }
      ages();
      announce(page);
      document.dispatchEvent(new Event("page-changed"));
      changed();
    } catch {
      say("no answer, trying again", false);
    }
    busy = false;
    if (again) { again = false; soon(); }
  }
  const connect = () => {
    if (source || document.hidden) return;
    const q = wanted === "all" ? "" : "?" + new URLSearchParams(wanted.split(" ").map((id) => ["run", id]));
    source = new EventSource("/events" + q);
    source.onopen = () => say("up to date", true);
    source.onerror = () => {
      say("no answer, trying again", false);
      if (source && source.readyState === EventSource.CLOSED) { // too many pages: ask now and then
        source = null;
        setTimeout(() => { all = true; soon(); connect(); }, 10000);
      }
    };
    source.addEventListener("changes", (e) => {
      const c = JSON.parse(e.data);
      if (c.list) all = true;
      if (c.list && page !== "list" && c.runs.length === 0) return;
      for (const id of c.runs) rows.add(id);
      say("up to date", true);
      soon();
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; } else { all = true; connect(); soon(); }
  });
  connect();
}

// ahead is how far this machine's clock is ahead of the server's.
let ahead = Date.now() - Number(document.body.dataset.now);

// ages rewrites how long ago things were.
function ages() {
  for (const t of document.querySelectorAll("time[data-age]")) {
    const text = ago(Date.now() - ahead - Number(t.dataset.age));
    if (t.textContent !== text) t.textContent = text;
  }
}

export function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s ago";
  if (s < 3600) return Math.floor(s / 60) + " min ago";
  if (s < 86400) return Math.floor(s / 3600) + " h " + (Math.floor(s / 60) % 60) + " min ago";
  return Math.floor(s / 86400) + " d " + (Math.floor(s / 3600) % 24) + " h ago";
}

const states = new Map();
let saidAt = 0;

// announce tells a screen reader of new states at once and of progress rarely.
function announce(page) {
  const texts = [];
  const note = (key, name, state) => {
    if (states.has(key) && states.get(key) !== state) texts.push(name + " is now " + state);
    states.set(key, state);
  };
  if (page === "list") {
    for (const row of document.querySelectorAll("#rows > tr")) note(row.id, row.dataset.name, row.dataset.state);
  } else if (page === "run") {
    note("run", document.querySelector("h1").textContent, document.getElementById("why").dataset.state);
    const faults = document.querySelectorAll(".events tr.fault").length;
    if (states.has("faults") && faults > states.get("faults")) texts.push("a fault: " + document.querySelector(".events tr.fault .text").textContent);
    states.set("faults", faults);
    const progress = document.getElementById("progress");
    const loss = [...document.querySelectorAll(".tiles div")].find((d) => d.firstElementChild.textContent === "Loss");
    if (!texts.length && progress && Date.now() - saidAt > spoken) {
      texts.push(progress.textContent + (loss ? ", loss " + loss.lastElementChild.firstChild.textContent : ""));
    }
  }
  if (!texts.length) return;
  saidAt = Date.now();
  document.getElementById("announce").textContent = texts.slice(0, 5).join("; ");
}

// keepFocus does something and gives the focus back if it was lost by it.
function keepFocus(f) {
  const had = document.activeElement;
  f();
  if (had && had !== document.activeElement && had.isConnected) had.focus({ preventScroll: true });
}

// morph makes a tree equal to another with as few changes as it takes.
export function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || (from.id || "") !== (to.id || "")) {
    from.replaceWith(document.importNode(to, true));
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if ("keep" in from.dataset) return;
  for (const a of [...from.attributes]) {
    if (!to.hasAttribute(a.name) && !own(from, a.name)) from.removeAttribute(a.name);
  }
  for (const a of to.attributes) {
    if (from.getAttribute(a.name) !== a.value && !own(from, a.name)) from.setAttribute(a.name, a.value);
  }
  const byID = new Map();
  for (const c of from.children) if (c.id) byID.set(c.id, c);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const known = next.id && byID.get(next.id);
    if (known) {
      if (known !== at) from.insertBefore(known, at); else at = at.nextSibling;
      morph(known, next);
    } else if (at && !at.id && !next.id && at.nodeType === next.nodeType && at.nodeName === next.nodeName) {
      const after = at.nextSibling;
      morph(at, next);
      at = after;
    } else {
      from.insertBefore(document.importNode(next, true), at);
    }
  }
  while (at) { const after = at.nextSibling; at.remove(); at = after; }
}

// own says that an attribute belongs to the reader, not to the server.
function own(e, name) {
  return (name === "open" && e.nodeName === "DETAILS") || (name === "hidden" && e.nodeName === "TR");
}
