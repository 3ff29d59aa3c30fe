// Reads /status and /recent again and again, and shows them. Texts come from servers and users: they are set as text, never as HTML.
"use strict";

const PERIOD = 5000;
const SAMPLES = 360;
const SVG = "http://www.w3.org/2000/svg";
const element = (id) => document.getElementById(id);

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const isKnown = (value) => value !== undefined && value !== null;
const number = (value) => value.toLocaleString("en");

function size(bytes) {
  let value = bytes;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return (unit === "B" ? number(value) : value.toFixed(1)) + " " + unit;
    value /= 1024;
  }
}

function duration(seconds) {
  if (seconds < 0.001) return seconds === 0 ? "0 s" : "under 1 ms";
  if (seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 120) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " d";
}

const rate = (value) => (value < 10 ? value.toFixed(1) : number(Math.round(value))) + "/s";
const clock = (time) => new Date(time).toLocaleTimeString("en", { hour12: false });

function show(id, value, more) {
  element(id).textContent = value;
  if (more !== undefined) element(id + "-more").textContent = more;
}

// What it is doing, in a word, with a mark of its own shape for each kind.
function judge(status) {
  if (!status.live) return ["bad", "■", "Stuck", "restart the streamer"];
  if (status.role === "stopped") return ["bad", "■", "Stopped", ""];
  if (status.role === "standby") return ["good", "◆", "Standing by", "another streamer holds the slot"];
  if (!status.ready) return ["warn", "▲", "Not ready", ""];
  const wal = (status.source || {}).wal_status;
  if (wal === "unreserved" || wal === "lost") return ["bad", "■", "Streaming, slot in danger", "wal_status is " + wal];
  return ["good", "●", "Streaming", ""];
}

function showState(kind, mark, word, more, reasons) {
  const state = element("state");
  // A screen reader says it again only when it has changed.
  const text = [kind, word, more, ...reasons].join("\n");
  if (state.dataset.text === text) return;
  state.dataset.text = text;
  state.className = "state " + kind;
  element("state-mark").textContent = mark;
  element("state-word").textContent = word;
  element("state-more").textContent = more;
  element("reasons").replaceChildren(...reasons.map((reason) => make("li", reason)));
}

function showNow(status, recent) {
  const source = status.source, stream = status.stream;
  show("lag", isKnown(source.lag_seconds) ? duration(source.lag_seconds) : "not known",
    isKnown(source.lag_bytes) ? size(source.lag_bytes) + " of WAL not stored yet" : "");
  const rates = recent.events_per_second, times = recent.stored_p99_seconds;
  show("rate", rates.length ? rate(rates[rates.length - 1]) : "not known",
    status.counters ? number(status.counters.events) + " since the start" : "");
  const time = times[times.length - 1];
  show("p99", isKnown(time) ? duration(time) : "no events", isKnown(time) ? "99 of 100 events took at most that long" : "lately");
  show("held", isKnown(source.retained_bytes) ? size(source.retained_bytes) : "not known",
    isKnown(source.safe_bytes) ? size(Math.max(0, source.safe_bytes)) + " until the slot is lost" : "");
  const full = isKnown(stream.bytes) && isKnown(stream.max_bytes)
    ? " of " + size(stream.max_bytes) + " (" + Math.round(stream.bytes / stream.max_bytes * 100) + " %)" : "";
  show("stream", isKnown(stream.messages) ? number(stream.messages) + " messages" : "not known",
    isKnown(stream.bytes) ? size(stream.bytes) + full : "");
  const window = status.window;
  const age = window && window.from_time ? (Date.now() - Date.parse(window.from_time)) / 1000 : undefined;
  show("window", window ? (isKnown(age) ? duration(Math.max(0, age)) : window.from_lsn || "empty") : "none",
    window && isKnown(window.bytes) ? size(window.bytes) + " of WAL" + (window.from_lsn ? ", from " + window.from_lsn : "") : "");
}

function line(x1, y1, x2, y2) {
  const made = document.createElementNS(SVG, "line");
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) made.setAttribute(name, value);
  made.setAttribute("class", "grid");
  return made;
}

// The next 1, 2 or 5 at or above the value.
function ceiling(value, least) {
  let step = least;
  while (step < value) {
    const lead = step / 10 ** Math.floor(Math.log10(step) + 1e-9);
    step *= Math.abs(lead - 2) < 0.01 ? 2.5 : 2;
  }
  return step;
}

// A curve with gaps where nothing was known, and the same in words.
function chart(id, samples, recent, format, least) {
  const known = samples.filter(isKnown);
  const top = ceiling(Math.max(0, ...known), least);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 -2 " + SAMPLES + " 104");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line(0, 0, SAMPLES, 0), line(0, 50, SAMPLES, 50));
  const first = SAMPLES - samples.length;
  let path = "", isDrawing = false;
  samples.forEach((sample, index) => {
    if (!isKnown(sample)) { isDrawing = false; return; }
    const y = (100 - sample / top * 100).toFixed(2);
    path += (isDrawing ? "L" : "M") + (first + index) + " " + y + (isDrawing ? "" : "h1");
    isDrawing = true;
  });
  const curve = document.createElementNS(SVG, "path");
  curve.setAttribute("d", path);
  curve.setAttribute("class", "curve");
  svg.append(curve);
  const scale = make("div", undefined, "scale");
  scale.append(make("span", format(top)), make("span", format(top / 2)), make("span", "0"));
  const times = make("div", undefined, "times");
  times.append(make("span", duration(SAMPLES * recent.interval_seconds) + " ago"), make("span", "now"));
  let words = "no samples yet";
  if (known.length) {
    const highest = Math.max(...known);
    const at = Date.parse(recent.at) - (samples.length - 1 - samples.lastIndexOf(highest)) * recent.interval_seconds * 1000;
    const last = samples[samples.length - 1];
    words = "now " + (isKnown(last) ? format(last) : "not known") + ", highest " + format(highest) + " at " + clock(at);
    const unknown = samples.length - known.length;
    if (unknown) words += ", not known for " + duration(unknown * recent.interval_seconds);
  }
  element(id).replaceChildren(scale, svg, times, make("p", words, "caption"));
}

function showPositions(status) {
  const source = status.source, stream = status.stream;
  const rows = [
    ["received", source.received_lsn], ["stored", source.stored_lsn], ["confirmed", source.confirmed_lsn],
    ["stream", isKnown(stream.last_sequence)
      ? (isKnown(stream.first_sequence) ? "sequences " + number(stream.first_sequence) + " to " : "sequence ") + number(stream.last_sequence) : undefined],
    ["in flight", status.in_flight ? number(status.in_flight.messages) + " messages, " + size(status.in_flight.bytes) : undefined],
    ["checkpoint", status.checkpoint ? duration(status.checkpoint.age_seconds) + " old" : undefined],
  ];
  element("positions").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", isKnown(value) ? value : "not known")]));
}

// A table that a narrow screen shows as cards; its roles stay a table's.
function table(id, columns, rows, empty) {
  if (!rows.length) return element(id).replaceChildren(make("p", empty));
  const made = make("table"), head = make("thead"), headRow = make("tr"), body = make("tbody");
  made.setAttribute("role", "table");
  made.setAttribute("aria-labelledby", id + "-title");
  for (const group of [head, body]) group.setAttribute("role", "rowgroup");
  headRow.setAttribute("role", "row");
  for (const [label, className] of columns) {
    const cell = make("th", label, className);
    cell.setAttribute("role", "columnheader");
    cell.scope = "col";
    headRow.append(cell);
  }
  head.append(headRow);
  for (const row of rows) {
    const made = make("tr");
    made.setAttribute("role", "row");
    row.forEach((value, index) => {
      const cell = make("td", undefined, columns[index][1]);
      cell.setAttribute("role", "cell");
      cell.dataset.label = columns[index][0];
      cell.append(value instanceof Node ? value : make("span", value));
      made.append(cell);
    });
    body.append(made);
  }
  made.append(head, body);
  element(id).replaceChildren(made);
}

function standing(consumer) {
  const unread = consumer.pending + consumer.ack_pending;
  if (unread === 0) return make("span", "has read all", "word good");
  if (isKnown(consumer.retention_left) && consumer.retention_left < 0.1)
    return make("span", consumer.retention_left === 0 ? "loses events" : "about to lose events", "word bad");
  if (consumer.delivered === 0) return make("span", "has never read", "word warn");
  return make("span", "is behind", "word");
}

function showTables(status, recent) {
  const consumers = (status.consumers || []).map((consumer) => [
    consumer.name, standing(consumer), number(consumer.pending), number(consumer.ack_pending), number(consumer.ack_floor),
    isKnown(consumer.retention_left) ? Math.floor(consumer.retention_left * 100) + " %" : "not known",
  ]);
  table("consumers", [["consumer"], ["state"], ["not delivered", "number"], ["not acknowledged", "number"], ["acknowledged up to", "number"],
    ["retention left", "number"]], consumers, status.consumers ? "no durable consumers" : "not known");
  table("events", [["committed"], ["entity"], ["operation"], ["sequence", "number"], ["id", "code"]],
    recent.events.map((event) => [clock(event.committed_at), event.entity, event.operation, number(event.sequence), event.id]),
    "none since the start");
  table("errors", [["last"], ["times", "number"], ["reason", "code"], ["message"]],
    recent.errors.map((error) => [clock(error.at), number(error.count), error.reason, error.message]), "none since the start");
  const stop = recent.last_stop;
  element("last-stop").textContent = stop ? "A streamer before this one stopped on " + new Date(stop.at).toLocaleString("en", { hour12: false })
    + ": " + stop.reason + ", " + stop.message : "";
}

let lastAnswer;

async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(path + " answered " + answer.status);
  return answer.json();
}

async function refresh() {
  try {
    const [status, recent] = await Promise.all([read("status"), read("recent")]);
    lastAnswer = new Date();
    const [kind, mark, word, more] = judge(status);
    showState(kind, mark, word, more, status.reasons);
    element("version").textContent = status.version;
    const route = (status.source.database ? status.source.database + ", " : "") + "slot " + status.source.slot + " → stream " + status.stream.name;
    element("route").textContent = route;
    document.title = word + " · " + status.stream.name + " · slotstream";
    showNow(status, recent);
    chart("lag-chart", recent.lag_seconds, recent, duration, 1);
    chart("rate-chart", recent.events_per_second, recent, rate, 10);
    showPositions(status);
    showTables(status, recent);
    element("read").textContent = "read at " + clock(lastAnswer);
  } catch (error) {
    showState("bad", "■", "No answer", lastAnswer ? "since " + clock(lastAnswer) + "; what is below is older" : "from the streamer", [String(error.message || error)]);
    document.title = "No answer · slotstream";
  }
}

// One question at a time, and none while nobody looks.
async function run() {
  if (!document.hidden) await refresh();
  setTimeout(run, PERIOD);
}

run();
