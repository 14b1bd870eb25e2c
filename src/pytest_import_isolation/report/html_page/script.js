(() => {
"use strict";

// The data: see page_data() of html.py. Names are anybody's, and become text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const text = data.text;
const SEVERITIES = ["error", "warning", "info"];
const BAD = new Set(["failed", "error"]);
const RUN = "the test run";
const fileOf = (nodeid) => nodeid.split("::", 1)[0];
const named = (sentence, name) => sentence.split("\0").join(name);

const exposures = data.exposures.map(([nodeid, phase, file, line, outcome]) => ({
  nodeid: text[nodeid], phase: text[phase], file: text[file], line, outcome: text[outcome],
}));
const events = data.events.map(([nodeid, test, outcome, start, took, worker], number) => ({
  number, nodeid: text[nodeid], test: test === 1, outcome: text[outcome], start, took, worker: text[worker],
}));
const sources = new Map(Object.entries(data.sources).map(([number, lines]) => [text[number], lines]));
const workersOf = new Map();
for (const event of events) {
  if (!workersOf.has(event.nodeid)) workersOf.set(event.nodeid, new Set());
  workersOf.get(event.nodeid).add(event.worker);
}
const plainKinds = new Set(data.plain);
const leaks = data.leaks.map((row, number) => {
  const name = text[row[2]];
  return {
    number, kind: text[row[0]], severity: SEVERITIES[row[1]], name, nodeid: text[row[3]], phase: text[row[4]],
    place: row[5] ? { file: text[row[5][0]], line: row[5][1], exact: row[5][2] === 1 } : null,
    chain: row[6].map(([module, file, line]) => ({ module: text[module], file: text[file], line })),
    detail: named(text[row[7]], name), advice: named(text[row[8]], name), count: row[11] || 1,
    // Leaks with different sentences are apart where the sentence is the message, as in the terminal.
    message: plainKinds.has(text[row[0]]) ? 0 : row[7],
    state: ["", "allowed", "contained"][row[9]],
    exposed: row[10].map((one) => exposures[one]),
    file: fileOf(text[row[3]]) || RUN,
  };
});
for (const leak of leaks) {
  leak.haystack = [leak.kind, leak.name, leak.nodeid, leak.place ? leak.place.file : "",
    ...leak.chain.map((link) => `${link.module} ${link.file}`), ...leak.exposed.map((met) => met.nodeid)]
    .join("\n").toLowerCase();
}

// Small helpers

const $ = (id) => document.getElementById(id);
function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") element.className = value || "";
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  for (const child of children) if (child !== null && child !== undefined && child !== "") element.append(child);
  return element;
}
const grouped = new Intl.NumberFormat("en");  // toLocaleString() makes one anew for each number
const count = (number, what) => `${grouped.format(number)} ${what}${number === 1 ? "" : "s"}`;
const empty = (sentence) => make("p", { class: "empty" }, sentence);
const pill = (style, words) => make("span", { class: `pill ${style}` }, words);
// A path or a node id, which breaks after what separates its parts.
const breakable = (words) => words.split(/(?<=\/|::|_)/).flatMap((part, at) => at ? [make("wbr"), part] : [part]);
const code = (words) => make("code", {}, ...breakable(words));
const duration = (ms) => ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
function add(map, key, value) {
  if (map.has(key)) map.get(key).push(value);
  else map.set(key, [value]);
}
// To ask for a width lays the page out, so that is done once.
let pageWidth = document.documentElement.clientWidth;
addEventListener("resize", () => { pageWidth = document.documentElement.clientWidth; });
// Shows the first of many, and the rest on request; returns the button for that, if it takes one.
function some(parent, items, most, render, what) {
  let shown = 0;
  const button = make("button", { type: "button", class: "more", onclick: () => extend(items.length) });
  function extend(until) {
    parent.append(...items.slice(shown, until).map(render));
    shown = Math.min(until, items.length);
    button.remove();
  }
  extend(most);
  if (shown < items.length) button.textContent = `… and ${count(items.length - shown, `more ${what}`)}`;
  return shown < items.length ? button : null;
}

// Makes one stop for the Tab key of many buttons; the arrow keys move among them.
function rove(container) {
  const buttons = [...container.querySelectorAll("button")];
  buttons.forEach((button, index) => { button.tabIndex = index ? -1 : 0; });
  const column = (button) => button.parentElement.cellIndex;
  container.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    const same = (button) => column(button) !== undefined && column(button) === column(event.target);
    const next = at < 0 ? undefined : {
      ArrowRight: buttons[at + 1], ArrowLeft: buttons[at - 1], Home: buttons[0], End: buttons[buttons.length - 1],
      ArrowDown: buttons.slice(at + 1).find(same), ArrowUp: buttons.slice(0, Math.max(at, 0)).reverse().find(same),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
    next.focus();
  });
}

// Filters

const filter = { words: [], severities: new Set(), kind: "", worker: "" };
const GROUPS = [
  ["error", "errors", true], ["warning", "warnings", true], ["info", "information", false],
  ["allowed", "allowed", false], ["contained", "contained", false],
];
const groupOf = (leak) => leak.severity === "info" ? "info" : leak.state || leak.severity;
const matches = (leak) =>
  filter.severities.has(groupOf(leak)) &&
  (!filter.kind || leak.kind === filter.kind) &&
  (!filter.worker || !workersOf.has(leak.nodeid) || workersOf.get(leak.nodeid).has(filter.worker)) &&
  filter.words.every((word) => leak.haystack.includes(word));
let visible = [];

function readFilters() {
  filter.words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  filter.kind = $("kind").value;
  filter.worker = $("worker").value;
  filter.severities = new Set([...document.querySelectorAll("#severities input:checked")].map((box) => box.value));
}
function update() {
  readFilters();
  visible = leaks.filter(matches);
  $("shown").textContent = leaks.length ? `${grouped.format(visible.length)} of ${count(leaks.length, "leak")}` : "";
  showCards();
  showMatrix();
  showTimeline();
  showIcicle();
}
function prepareFilters() {
  const numbers = new Map();
  for (const leak of leaks) numbers.set(groupOf(leak), (numbers.get(groupOf(leak)) || 0) + 1);
  const isHarmless = !numbers.has("error") && !numbers.has("warning");
  for (const [value, label, on] of GROUPS) {
    const number = numbers.get(value) || 0;
    if (!number && !on) continue;
    const box = make("input", { type: "checkbox", value, checked: on || isHarmless });
    $("severities").append(make("label", {}, box, `${label} (${grouped.format(number)})`));
  }
  const kinds = new Map();
  for (const leak of leaks) kinds.set(leak.kind, (kinds.get(leak.kind) || 0) + 1);
  for (const [kind, number] of [...kinds].sort()) $("kind").append(make("option", { value: kind }, `${kind} (${number})`));
  const workers = [...lanesOf.keys()];
  for (const worker of workers) if (worker) $("worker").append(make("option", { value: worker }, worker));
  $("worker-label").hidden = workers.length < 2;
  let waiting = 0;
  $("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(update, 80); });
  $("filters").addEventListener("submit", (event) => { event.preventDefault(); update(); });
  $("filters").addEventListener("reset", () => setTimeout(update));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      $("search").focus();
    }
  });
}

// Above all

const hasExposed = leaks.some((leak) => leak.exposed.length);
// What can never show anything is left out, and the way there.
function collapse() {
  const isUsed = { polluters: true, matrix: hasExposed, timeline: leaks.length > 0 || events.length > 0, imports: nodes.length > 0 };
  for (const [id, used] of Object.entries(isUsed)) {
    $(id).hidden = !used;
    document.querySelector(`.sections a[href="#${id}"]`).hidden = !used;
  }
  $("filters").hidden = !leaks.length;
  $("rows").hidden = !leaks.length;
  document.querySelector(".sections").hidden = Object.values(isUsed).filter(Boolean).length < 3;
}
function showHead() {
  const summary = data.summary;
  const polluters = new Set(leaks.filter((leak) => !leak.state && leak.severity !== "info").map((leak) => leak.file));
  const met = new Map();
  for (const leak of leaks) if (!leak.state) for (const one of leak.exposed) if (!met.get(one.nodeid)) met.set(one.nodeid, BAD.has(one.outcome));
  const failed = [...met.values()].filter(Boolean).length;
  const fact = (number, words, always = leaks.length > 0) => number || always ? make("span", {}, make("b", {}, grouped.format(number)), ` ${words}`) : "";
  $("facts").append(
    fact(polluters.size, polluters.size === 1 ? "polluting file" : "polluting files"),
    fact(met.size, met.size === 1 ? "test or file met a leak" : "tests and files met a leak"),
    fact(failed, "of them failed"),
    fact(summary.allowed, "allowed", false), fact(summary.contained, "contained by isolation", false),
    fact(data.imports.length, data.imports.length === 1 ? "first import" : "first imports"),
  );
  const gaps = Object.entries(data.workers).filter(([, state]) => state !== "ok").map(([worker, state]) => `worker ${worker}: ${state}`);
  if (!data.complete) gaps.push("This report is not complete: the run ended before everything was seen.");
  $("gaps").append(...gaps.map((gap) => make("p", { class: "gap" }, gap)));
}
function prepareTheme() {
  const names = ["auto", "light", "dark"];
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = "auto";
  try { chosen = localStorage.getItem("import-leaks-theme") || "auto"; } catch { /* not for pages from disk */ }
  const apply = () => {
    document.documentElement.dataset.theme = chosen === "auto" ? (system.matches ? "dark" : "light") : chosen;
    $("theme").textContent = `Theme: ${chosen}`;
  };
  system.addEventListener("change", apply);
  $("theme").addEventListener("click", () => {
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    try { localStorage.setItem("import-leaks-theme", chosen); } catch { /* it lasts as long as the page */ }
    apply();
  });
  apply();
}

// Polluters

let cards = [];
const cardOf = new Map();
// What the reader opened and closed, by file: it stays so when the filters change.
const chosenOf = new Map();

function harmOf(group) {
  const met = new Map();
  for (const leak of group) for (const one of leak.exposed) met.set(one.nodeid, met.get(one.nodeid) || BAD.has(one.outcome));
  return {
    worst: Math.min(...group.map((leak) => SEVERITIES.indexOf(leak.severity))),
    failed: [...met.values()].filter(Boolean).length, met: met.size,
  };
}
// What explains most failures first.
function sortedByHarm(group) {
  const failures = new Map(group.map((leak) => [leak, leak.exposed.filter((one) => BAD.has(one.outcome)).length]));
  return [...group].sort((a, b) => failures.get(b) - failures.get(a) || b.exposed.length - a.exposed.length);
}
const byHarm = (a, b) => a.worst - b.worst || b.failed - a.failed || b.met - a.met || b.leaks.length - a.leaks.length;

function showCards() {
  const files = new Map();
  for (const leak of visible) add(files, leak.file, leak);
  cards = [...files].map(([file, group]) => ({ file, leaks: group, ...harmOf(group) })).sort(byHarm);
  cardOf.clear();
  $("cards-tools").hidden = cards.length < 2;
  const place = $("cards");
  place.replaceChildren();
  if (!cards.length) {
    place.append(empty(leaks.length ? "No leak matches the filters." : "Nothing was left behind."));
    return;
  }
  let open = 0;
  cards.forEach((card, index) => {
    card.rank = index + 1;
    card.groups = new Set(card.leaks.map(groupKey)).size;
    card.isOpen = chosenOf.get(card.file) ?? (!index || (index < 5 && open + card.groups <= 10));
    open += card.groups;
    cardOf.set(card.file, card);
  });
  const more = some(place, cards, 60, (card) => card.element || makeCard(card), "polluting file");
  if (more) place.append(more);
}
function makeCard(card) {
  const tally = (severity) => card.leaks.filter((leak) => !leak.state && leak.severity === severity).length;
  const summary = make("summary", { onclick: () => chosenOf.set(card.file, !card.element.open) },
    make("span", { class: "rank" }, `${card.rank}`), make("span", { class: "file" }, ...breakable(card.file)),
    tally("error") ? pill("error", count(tally("error"), "error")) : null,
    tally("warning") ? pill("warning", count(tally("warning"), "warning")) : null,
    ...["allowed", "contained"].map((state) => {
      const number = card.leaks.filter((leak) => leak.state === state).length;
      return number ? pill("", `${number} ${state}`) : null;
    }),
    card.met ? pill(card.failed ? "failed" : "", `met by ${card.met}${card.failed ? `, ${card.failed} failed` : ""}`) : null);
  card.element = make("details", { class: "card", open: card.isOpen }, summary);
  card.fill = () => {
    if (card.element.childElementCount === 1) card.element.append(makeBody(card));
  };
  card.element.addEventListener("toggle", () => { if (card.element.open) card.fill(); });
  if (card.element.open) card.fill();
  return card.element;
}
// As in the terminal: leaks of one kind by one file are together.
const groupKey = (leak) => `${leak.kind} ${leak.severity} ${leak.state} ${leak.message}`;
function makeBody(card) {
  const groups = new Map();
  for (const leak of card.leaks) add(groups, groupKey(leak), leak);
  const sorted = [...groups.values()].map((group) => ({ leaks: sortedByHarm(group), ...harmOf(group) })).sort(byHarm);
  const body = make("div");
  const more = some(body, sorted, 50, makeLeak, "group");
  if (more) body.append(more);
  return body;
}
function makeLeak(group) {
  const first = group.leaks[0];
  const title = make("h3", {}, pill(first.severity, first.severity), " ", make("span", { class: "kind" }, first.kind), " ");
  const names = [...new Set(group.leaks.map((leak) => leak.name))];
  const list = make("span");
  const more = some(list, names, 12, (name) => make("span", {}, name === names[0] ? "" : ", ", code(name)), "name");
  title.append(list, more ? " " : "", more || "");
  if (first.state) title.append(" ", pill("", first.state));
  const places = [...new Map(group.leaks.filter((leak) => leak.place).map((leak) => [`${leak.place.file}:${leak.place.line}`, leak])).values()];
  const others = new Set(group.leaks.map((leak) => leak.nodeid)).size - 1;
  const times = group.leaks.reduce((sum, leak) => sum + leak.count, 0);
  const how = (others ? ` and ${others} more of this file` : "") +
    (times === group.leaks.length ? "" : group.leaks.length > 1 ? `, ${times} changes in all` : `, the first of ${times} such changes`);
  const where = !first.place ? [] : [
    `, ${places.every((leak) => leak.place.exact) ? "at" : "probably at"} `, code(`${first.place.file}:${first.place.line}`),
    places.length > 1 ? ` and ${places.length - 1} more ${places.length === 2 ? "place" : "places"}` : "",
  ];
  const details = new Map();
  for (const leak of group.leaks) add(details, leak.detail, leak.name);
  const sentences = [...details].slice(0, 6).map(([detail, of]) =>
    make("p", {}, details.size > 1 ? `${of[0]}${of.length > 1 ? ", …" : ""}: ${detail}` : detail));
  if (details.size > 6) sentences.push(make("p", {}, `… and ${details.size - 6} more.`));
  const parts = [title, make("p", { class: "by" }, "by ", code(first.nodeid || RUN), ` (${first.phase})${how}`, ...where), ...sentences];
  if (first.place) parts.push(makeSource(first.place, 3));
  if (places.length > 1) parts.push(makePlaces(places));
  if (first.chain.length > 1 || (first.chain.length && !first.place)) parts.push(makeWay(first));
  parts.push(make("p", { class: "advice" }, first.advice));
  const met = new Map();
  for (const leak of group.leaks) for (const one of leak.exposed) {
    const known = met.get(one.nodeid);
    if (!known || (BAD.has(one.outcome) && !BAD.has(known.outcome))) met.set(one.nodeid, one);
  }
  if (met.size) parts.push(makeVictims([...met.values()], group.failed));
  return make("article", {
    class: `leak ${first.severity}`, tabindex: "-1", id: `leak-${first.number}`,
    "data-leaks": `,${group.leaks.map((leak) => leak.number).join()},`,
  }, ...parts);
}
function makePlaces(places) {
  const list = make("ol", {});
  const rest = places.slice(1);
  const fill = () => { if (!list.childElementCount) list.append(...rest.map((leak) => make("li", {}, code(`${leak.place.file}:${leak.place.line}`), " ", code(leak.name)))); };
  const details = make("details", { class: "way places", ontoggle: fill }, make("summary", {}, count(rest.length, "more place")), list);
  return details;
}
function makeSource({ file, line }, around) {
  const lines = sources.get(file);
  const numbers = Object.keys(lines || {}).map(Number).filter((number) => Math.abs(number - line) <= around);
  if (!numbers.includes(line)) return null;
  const pre = make("pre", {}, ...numbers.map((number) =>
    make(number === line ? "mark" : "span", { class: Math.abs(number - line) > 1 ? "far" : null }, make("span", { class: "no" }, `${number}`), lines[number])));
  return make("figure", { class: "source" }, make("figcaption", {}, ...breakable(`${file}:${line}`)), pre);
}
function makeWay(leak) {
  const list = make("ol", {}, ...leak.chain.map((link) => make("li", {}, code(`${link.file}:${link.line}`), " → ", code(link.module))));
  const last = leak.chain[leak.chain.length - 1];
  const isElsewhere = !leak.place || last.file !== leak.place.file || last.line !== leak.place.line;
  return make("div", { class: "way" }, make("p", {}, "by way of"), list, isElsewhere ? makeSource(last, 1) : null);
}
function makeVictims(met, failed) {
  met.sort((a, b) => BAD.has(b.outcome) - BAD.has(a.outcome));
  const body = make("tbody");
  const more = some(body, met, 6, (one) => make("tr", {},
    make("td", {}, pill(one.outcome, one.outcome)), make("td", {}, code(one.nodeid)),
    make("td", { class: "phase" }, one.phase), make("td", {}, code(`${one.file}:${one.line}`))), "row");
  const table = make("table", { class: "plain victims" },
    make("caption", {}, `Met by ${met.length === 1 ? "one test or file" : `${met.length} tests or files`}${failed ? `, of which ${failed} failed` : ", none failed"}`),
    make("thead", {}, make("tr", {}, ...["Outcome", "Test or file", "Phase", "Imported at"].map((title) => make("th", { scope: "col" }, title)))), body);
  return make("div", {}, table, more);
}
function openAll(isOpen) {
  for (const card of cards) {
    if (!card.element) continue;
    if (isOpen) card.fill();
    card.element.open = isOpen;
    chosenOf.set(card.file, isOpen);
  }
}
// Opens the card of a leak, and goes there.
function go(leak) {
  if (!cardOf.has(leak.file)) return;
  const card = cardOf.get(leak.file);
  if (!card.element) makeCard(card);
  if (!card.element.isConnected) $("cards").lastElementChild.before(card.element);  // the button for the rest
  card.element.open = true;
  card.fill();
  let found = card.element.querySelector(`[data-leaks*=",${leak.number},"]`);
  const more = card.element.querySelector(":scope > div > button.more");
  if (!found && more) { more.click(); found = card.element.querySelector(`[data-leaks*=",${leak.number},"]`); }
  document.querySelectorAll(".leak.now").forEach((other) => other.classList.remove("now"));
  if (!found) return;
  found.classList.add("now");
  found.scrollIntoView({ block: "start" });
  found.focus({ preventScroll: true });
}
const linkTo = (leak, words) => make("a", {
  href: `#leak-${leak.number}`,
  onclick: (event) => { event.preventDefault(); history.replaceState(null, "", `#leak-${leak.number}`); go(leak); },
}, ...breakable(words));
function followHash() {
  const found = /^#leak-(\d+)$/.exec(location.hash);
  if (found && leaks[found[1]]) go(leaks[found[1]]);
}

// Matrix

const MOST = 40;
// Whether the matrix has files too whose leaks made no test fail.
let showsHarmless = false;
const LONGEST = 38;
// Returns a function that leaves out the folders that all files have in common, and the front of what is long.
function shortener(files) {
  let common = files[0].slice(0, files[0].lastIndexOf("/") + 1);
  for (const file of files) while (!file.startsWith(common)) common = common.slice(0, common.slice(0, -1).lastIndexOf("/") + 1);
  return (file) => {
    const rest = file.slice(common.length);
    return rest.length > LONGEST ? `…${rest.slice(1 - LONGEST)}` : rest;
  };
}
function showMatrix() {
  const cells = new Map();
  const columns = new Map();
  const rows = new Map();
  const harmful = new Set();
  for (const leak of visible) if (leak.exposed.some((met) => BAD.has(met.outcome))) harmful.add(leak.file);
  const isShort = harmful.size > 0 && !showsHarmless;
  const harmless = new Set(visible.filter((leak) => leak.exposed.length && !harmful.has(leak.file)).map((leak) => leak.file));
  for (const leak of visible) if (!isShort || harmful.has(leak.file)) for (const met of leak.exposed) {
    const to = fileOf(met.nodeid) || RUN;
    if (!cells.has(leak.file)) cells.set(leak.file, new Map());
    const row = cells.get(leak.file);
    if (!row.has(to)) row.set(to, { met: new Map(), first: leak });
    const cell = row.get(to);
    const isBad = BAD.has(met.outcome);
    if (isBad && !cell.isBad) { cell.isBad = true; cell.first = leak; }
    cell.met.set(met.nodeid, cell.met.get(met.nodeid) || isBad);
    columns.set(to, (columns.get(to) || 0) + 1 + (isBad ? 1000 : 0));
    rows.set(leak.file, (rows.get(leak.file) || 0) + 1 + (isBad ? 1000 : 0));
  }
  const place = $("table");
  if (!cells.size) {
    place.replaceChildren(empty("No test and no file met a leak that is shown."));
    return;
  }
  const order = (weights) => [...weights].sort((a, b) => b[1] - a[1]).map(([file]) => file);
  const from = order(rows).slice(0, MOST), to = order(columns).slice(0, MOST);
  const short = shortener([...from, ...to]);
  const head = make("tr", {}, make("td", {}, "polluter ↓  met it →"),
    ...to.map((file) => make("th", { scope: "col", title: file }, make("div", {}, short(file)))));
  const body = from.map((file) => make("tr", {}, make("th", { scope: "row", title: file }, make("bdi", { dir: "ltr" }, short(file))), ...to.map((other) => {
    const cell = cells.get(file).get(other);
    if (!cell) return make("td", { class: "none" });
    const failed = [...cell.met.values()].filter(Boolean).length;
    const sentence = `${file} to ${other}: met by ${cell.met.size}, ${failed} failed`;
    return make("td", {}, make("button", {
      type: "button", class: failed ? "bad" : "", title: sentence, "aria-label": sentence, onclick: () => go(cell.first),
    }, failed ? `${failed}/${cell.met.size}` : `${cell.met.size}`));
  })));
  const hidden = [[rows.size - from.length, "polluting"], [columns.size - to.length, "exposed"]].filter(([number]) => number > 0);
  const table = make("table", { class: to.length > 15 ? "matrix wide" : "matrix", role: "grid", "aria-labelledby": "matrix-title" },
    make("thead", {}, head), make("tbody", {}, ...body));
  rove(table);
  $("matrix").classList.toggle("small", from.length <= 5);  // on paper, it says what the cards say
  place.replaceChildren(table, hidden.length ? make("p", { class: "module" }, `The ${MOST} worst; not shown: ${hidden.map(([number, what]) => `${count(number, `${what} file`)}`).join(", ")}. Search to narrow it down.`) : "",
    harmful.size && harmless.size ? make("button", {
      type: "button", class: "more", "aria-pressed": `${showsHarmless}`, onclick: () => { showsHarmless = !showsHarmless; showMatrix(); document.querySelector("#table > .more").focus(); },
    }, `also ${count(harmless.size, "polluting file")} without victims`) : "");
}

// Timeline

let byTime = false;
const lanesOf = new Map();
const byNumber = new Intl.Collator("en", { numeric: true });
for (const worker of [...new Set(events.map((event) => event.worker))].sort(byNumber.compare)) lanesOf.set(worker, []);
let end = 0;
for (const event of events) {
  event.place = lanesOf.get(event.worker).push(event);
  end = Math.max(end, event.start + event.took);
}
// Finds the events in which a node did something, by its id and phase.
const eventsBy = new Map();
for (const event of events) {
  add(eventsBy, `${event.test} ${event.nodeid}`, event);
  if (event.test) {
    const file = `file ${event.worker} ${fileOf(event.nodeid)}`;
    if (!eventsBy.has(file)) eventsBy.set(file, [event]);
  }
}
function eventsFor(nodeid, phase) {
  const found = eventsBy.get(`${phase !== "collect"} ${nodeid}`);
  if (found) return found;
  // A fixture of a module or class: its file's first test.
  return [...lanesOf.keys()].flatMap((worker) => eventsBy.get(`file ${worker} ${fileOf(nodeid)}`) || []);
}
function showTimeline() {
  const began = new Map(), met = new Map();
  for (const leak of visible) {
    if (leak.nodeid && leak.phase !== "conftest") for (const event of eventsFor(leak.nodeid, leak.phase)) add(began, event, leak);
    for (const one of leak.exposed) for (const event of eventsFor(one.nodeid, one.phase)) add(met, event, { leak, ...one });
  }
  const before = visible.filter((leak) => leak.phase === "conftest" || leak.phase === "configure");
  const after = visible.filter((leak) => leak.phase === "session");
  const shownLanes = [...lanesOf].filter(([worker]) => !filter.worker || worker === filter.worker);
  $("lanes").replaceChildren(...shownLanes.map(([worker, lane]) => makeLane(worker, lane, began, met)));
  const rows = [];
  if (before.length) rows.push({ words: "before the collection", began: before, met: [] });
  for (const [, lane] of shownLanes) {
    let quiet = [];
    const flush = () => { if (quiet.length) rows.push({ quiet }); quiet = []; };
    for (const event of lane) {
      if (began.has(event) || met.has(event)) { flush(); rows.push({ event, began: began.get(event) || [], met: met.get(event) || [] }); }
      else quiet.push(event);
    }
    flush();
  }
  if (after.length) rows.push({ words: "between tests, or at the end", began: after, met: [] });
  if (!events.length && !rows.length) {
    $("rows").replaceChildren(empty("No file and no test is known."));
    return;
  }
  const body = make("tbody");
  const more = some(body, rows, 60, makeRow, "row");
  $("rows").replaceChildren(make("table", { class: "plain" },
    make("caption", { class: "hidden" }, "Files and tests in order, with the leaks that began in them and those that they met"),
    make("thead", {}, make("tr", {}, ...[["#", "number"], ...(lanesOf.size > 1 ? [["Worker", "short"]] : []), ["Phase", "short"],
      ["File or test", "wide"], ["Began here", ""], ["Met here", ""]]
      .map(([title, width]) => make("th", { scope: "col", class: width }, title)))), body), more || "");
}
function prepareTimeline() {
  $("timeline-note").textContent = data.timed
    ? "files and tests in order, where each leak began and where it was met"
    : "the order is that of the leaks: this report was written without the events of the run";
  const tools = $("timeline-tools");
  if (data.timed) {
    const buttons = [["by order", false], ["by time", true]].map(([words, value]) => make("button", {
      type: "button", "aria-pressed": `${byTime === value}`, onclick: () => {
        byTime = value;
        buttons.forEach((button, index) => button.setAttribute("aria-pressed", `${byTime === (index === 1)}`));
        showTimeline();
      },
    }, words));
    tools.append(...buttons);
  }
  const key = (style, words) => make("span", { class: "key" }, make("span", { class: `mark ${style}` }), words);
  const bar = (style, words) => make("span", { class: "key" }, make("span", { class: `bar ${style}` }), words);
  tools.append(key("began error", "a leak began"), key("met", "was met"), key("met bad", "was met, and the test failed"),
    bar("collect", "collection of a file"), bar("", "its tests"), bar("bad", "some of them failed"));
}
function makeLane(worker, lane, began, met) {
  const strip = make("div", { class: "strip", role: "toolbar", "aria-label": `Timeline${worker ? ` of ${worker}` : ""}` });
  const spot = (event, index) => byTime && end
    ? [event.start / end, event.took / end]
    : [index / lane.length, 1 / lane.length];
  let run = null;
  const runs = [];
  const marks = document.createDocumentFragment();
  const taken = new Set();
  // One mark where several would lie on each other.
  const put = (at, style) => {
    const key = `${style} ${Math.round(at * 500)}`;
    if (!taken.has(key)) { taken.add(key); marks.append(mark(at, style)); }
  };
  lane.forEach((event, index) => {
    const file = fileOf(event.nodeid);
    const [left, width] = spot(event, index);
    if (run && run.file === file && run.test === event.test) { run.end = left + width; run.events.push(event); }
    else { run = { file, test: event.test, start: left, end: left + width, events: [event] }; runs.push(run); }
    const leaking = began.get(event);
    if (leaking) put(left + width / 2, `began ${leaking.some((leak) => leak.severity === "error") ? "error" : "warning"}`);
    const meeting = met.get(event);
    if (meeting) put(left + width / 2, `met${meeting.some((one) => BAD.has(one.outcome)) ? " bad" : ""}`);
  });
  // A label takes some pixels of its own.
  const roomFor = 64 / Math.max(200, roomOf() - 100);
  for (const one of runs) {
    const failed = one.events.filter((event) => BAD.has(event.outcome)).length;
    const took = one.events.reduce((sum, event) => sum + event.took, 0);
    const leaking = one.events.reduce((sum, event) => sum + (began.get(event) || []).length, 0);
    const meeting = one.events.reduce((sum, event) => sum + (met.get(event) || []).length, 0);
    const sentence = [
      `${one.file}: ${one.test ? count(one.events.length, "test") : "collection"}`, failed ? `${failed} failed` : "",
      data.timed ? duration(took) : "", leaking ? `${count(leaking, "leak")} began` : "", meeting ? `${count(meeting, "leak")} met` : "",
    ].filter(Boolean).join(", ");
    const button = make("button", {
      type: "button", class: `${one.test ? "" : "collect"}${failed ? " bad" : ""}`, title: sentence, "aria-label": sentence,
      onclick: () => goToRow(one.events.find((event) => began.has(event) || met.has(event)) || one.events[0]),
    }, one.end - one.start > roomFor ? one.file.split("/").pop().replace(/^test_|\.py$/g, "") : "");
    button.style.left = `${one.start * 100}%`;
    button.style.width = `${(one.end - one.start) * 100}%`;
    strip.append(button);
  }
  strip.append(marks);
  rove(strip);
  return make("div", { class: "lane" }, make("div", { class: "who" }, worker || "run"), strip);
}
function mark(left, style) {
  const element = make("span", { class: `mark ${style}`, "aria-hidden": "true" });
  element.style.left = `clamp(5px, ${left * 100}%, calc(100% - 5px))`;
  return element;
}
function makeRow(row) {
  const isWide = lanesOf.size > 1;
  if (row.quiet) {
    const tests = row.quiet.filter((event) => event.test).length;
    const files = row.quiet.length - tests;
    const what = [files ? count(files, "file") + " collected" : "", tests ? count(tests, "test") : ""].filter(Boolean).join(" and ");
    return make("tr", { id: `event-${row.quiet[0].number}`, "data-until": row.quiet[row.quiet.length - 1].number },
      make("td", { class: "n" }, "…"), make("td", { class: "quiet", colspan: isWide ? 5 : 4 }, `${what}, in which no leak began and none was met`));
  }
  const event = row.event;
  const list = (label, items, render) => {
    const place = make("ul");
    const more = some(place, items, 3, (item) => make("li", {}, ...render(item)), "leak");
    return make("td", { "data-label": items.length ? label : null }, place, more);
  };
  return make("tr", event ? { id: `event-${event.number}` } : {},
    make("td", { class: "n" }, event ? `${event.place}` : ""),
    isWide ? make("td", { class: "short" }, event ? event.worker : "") : null,
    make("td", { class: "short" }, !event ? "" : event.test ? "test" : "collect"),
    make("td", {}, event ? code(event.nodeid) : row.words, " ", event && event.outcome !== "unknown" ? pill(event.outcome, event.outcome) : ""),
    list("began here: ", row.began, (leak) => [linkTo(leak, `${leak.kind} ${leak.name}`)]),
    list("met here: ", row.met, (one) => [linkTo(one.leak, one.leak.name), " of ", ...breakable(one.leak.nodeid || RUN)]));
}
function goToRow(event) {
  let row = $(`event-${event.number}`);
  if (!row) row = [...document.querySelectorAll("#rows tr[data-until]")].find((one) => Number(one.id.slice(6)) <= event.number && event.number <= Number(one.dataset.until));
  const more = document.querySelector("#rows > button.more");
  if (!row && more) { more.click(); goToRow(event); return; }
  document.querySelectorAll("#rows tr.now").forEach((other) => other.classList.remove("now"));
  if (!row) return;
  row.classList.add("now");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "center" });
}

// The tree of imports

const root = { name: "the run", children: [], parent: null, took: 0, number: 1, depth: 0 };
const nodes = data.imports.map(([name, parent, by, file, line, took]) => ({
  name: text[name], by: text[by], file: text[file], line, took, above: parent, children: [], number: 1,
}));
const byName = new Map(nodes.map((node) => [node.name, node]));
const isTimed = nodes.some((node) => node.took >= 0);
let byDuration = isTimed;
const worstOf = new Map();
function plant() {
  const files = new Map();
  for (const node of nodes) {
    if (node.above >= 0) { node.parent = nodes[node.above]; node.parent.children.push(node); continue; }
    const file = fileOf(node.by) || RUN;
    if (!files.has(file)) {
      files.set(file, { name: file, children: [], parent: root, took: 0, number: 0, isFile: true });
      root.children.push(files.get(file));
    }
    node.parent = files.get(file);
    node.parent.children.push(node);
  }
  root.number = 0;
  // From the leaves up, without recursion: a chain of imports may be long.
  const order = [root];
  for (let at = 0; at < order.length; at++) for (const child of order[at].children) { child.depth = order[at].depth + 1; order.push(child); }
  for (let at = order.length - 1; at > 0; at--) {
    const node = order[at];
    // What is not known takes no time; a module takes at least as long as what it imported.
    node.below = node.children.reduce((sum, child) => sum + child.took, 0);
    node.took = Math.max(node.took, node.below, 0);
    node.parent.number += node.number;
  }
  root.took = root.children.reduce((sum, child) => sum + child.took, 0);
  for (const leak of leaks) if (!leak.state && leak.severity !== "info") {
    if (worstOf.get(leak.name) !== "error") worstOf.set(leak.name, leak.severity);
  }
}
const sizeOf = (node) => byDuration ? node.took : node.number;
const HEIGHT = 21;
let zoomed = root;
let active = root;
let boxes = new Map();

function prepareIcicle() {
  plant();
  const tools = $("icicle-tools");
  if (!nodes.length) return;
  if (isTimed) {
    const buttons = [["by time", true], ["by modules", false]].map(([words, value]) => make("button", {
      type: "button", "aria-pressed": `${byDuration === value}`, onclick: () => {
        byDuration = value;
        buttons.forEach((button, index) => button.setAttribute("aria-pressed", `${byDuration === (index === 0)}`));
        showIcicle();
      },
    }, words));
    tools.append(...buttons);
  }
  tools.append(make("span", { class: "key" }, "coloured: something was left in the module’s place; arrow keys move, Enter zooms, Escape goes back"));
  $("icicle").setAttribute("role", "tree");
  $("icicle").setAttribute("aria-label", "Modules by who imported them first");
  $("icicle").addEventListener("keydown", onKey);
  $("icicle").addEventListener("click", (event) => { const node = nodeAt(event.target); if (node) zoom(node === zoomed && node.parent ? node.parent : node, true); });
  $("icicle").addEventListener("mouseover", (event) => { const node = nodeAt(event.target); if (node) tell(node); });
  $("icicle").addEventListener("focusin", (event) => { const node = nodeAt(event.target); if (node) { active = node; tell(node); } });
}
// The last part of a name where the whole has no room.
const roomOf = () => Math.min(1280, pageWidth - 40);
function labelOf(node, width) {
  const isLong = node.name.length * 7 > width;
  return isLong ? node.name.split(node.isFile ? "/" : ".").pop() : node.name;
}
function nodeAt(element) {
  for (const [node, box] of boxes) if (box === element) return node;
  return null;
}
function describe(node) {
  const parts = [node.name, count(node.number, "module")];
  if (isTimed) parts.push(duration(node.took));
  return parts.join(", ");
}
function tell(node) {
  const place = $("module");
  place.replaceChildren(code(node.name), ` · ${count(node.number, "module")}`);
  if (isTimed) place.append(` · ${duration(node.took)}${node.children.length && !node.isFile && node.parent ? `, of which ${duration(Math.max(0, node.took - node.below))} its own` : ""}`);
  if (node.file) place.append(" · imported at ", code(`${node.file}:${node.line}`), " by ", code(node.by || RUN));
  const own = leaks.filter((leak) => leak.name === node.name && leak.severity !== "info" && matches(leak));
  own.slice(0, 3).forEach((leak) => place.append(" · ", linkTo(leak, leak.kind)));
}
function showIcicle() {
  const place = $("icicle");
  if (!nodes.length) { place.replaceChildren(empty("No first import was recorded.")); return; }
  const hadFocus = place.contains(document.activeElement);
  const minimum = sizeOf(zoomed) * 0.0022;
  boxes = new Map();
  const base = zoomed.depth;
  let deepest = 0;
  const queue = [[zoomed, 0, 1]];
  while (queue.length) {
    const [node, left, width] = queue.pop();
    const row = node.depth - base;
    deepest = Math.max(deepest, row);
    const severity = worstOf.get(node.name) || "";
    const isFound = filter.words.length > 0 && node.parent && filter.words.every((word) => node.name.toLowerCase().includes(word));
    const box = make("div", {
      class: `${node.depth % 2 ? "" : "even"} ${severity}${isFound ? " found" : ""}${width < 0.02 ? " thin" : ""}`,
      role: "treeitem", tabindex: "-1", "aria-level": `${row + 1}`, "aria-label": describe(node) + (severity ? `, ${severity}` : ""),
      "aria-expanded": node.children.length ? "true" : null,
    }, width < 0.02 ? "" : labelOf(node, width * roomOf()));
    box.style.left = `${left * 100}%`;
    box.style.width = `${width * 100}%`;
    box.style.top = `${row * HEIGHT}px`;
    boxes.set(node, box);
    let at = left;
    const total = Math.max(sizeOf(node), node.children.reduce((sum, child) => sum + sizeOf(child), 0));
    const children = [];
    for (const child of [...node.children].sort((a, b) => sizeOf(b) - sizeOf(a))) {
      if (sizeOf(child) < minimum || !total) break;
      const share = width * sizeOf(child) / total;
      children.push([child, at, share]);
      at += share;
    }
    queue.push(...children.reverse());
  }
  place.style.height = `${(deepest + 1) * HEIGHT + 2}px`;
  place.replaceChildren(...boxes.values());
  if (!boxes.has(active)) active = zoomed;
  boxes.get(active).tabIndex = 0;
  if (hadFocus) boxes.get(active).focus({ preventScroll: true });
  const trail = [];
  for (let node = zoomed; node; node = node.parent) trail.unshift(node);
  $("crumbs").replaceChildren(...trail.flatMap((node) => [
    node === root ? "" : make("span", { "aria-hidden": "true" }, "›"),
    node === zoomed ? make("b", { "aria-current": "true" }, node.name) : make("button", { type: "button", onclick: () => zoom(node, false) }, node.name),
  ]));
  tell(active);
}
function zoom(node, keepsFocus) {
  zoomed = active = node;
  showIcicle();
  if (keepsFocus) boxes.get(active).focus({ preventScroll: true });
}
function move(node) {
  if (!node || !boxes.has(node)) return;
  boxes.get(active).tabIndex = -1;
  boxes.get(node).tabIndex = 0;
  boxes.get(node).focus();
}
function onKey(event) {
  const shown = (node) => node.children.filter((child) => boxes.has(child)).sort((a, b) => sizeOf(b) - sizeOf(a));
  const siblings = active.parent && active !== zoomed ? shown(active.parent) : [active];
  const at = siblings.indexOf(active);
  const actions = {
    ArrowDown: () => move(shown(active)[0]),
    ArrowUp: () => { if (active !== zoomed) move(active.parent); },
    ArrowRight: () => move(siblings[at + 1]),
    ArrowLeft: () => move(siblings[at - 1]),
    Home: () => move(zoomed),
    Enter: () => zoom(active, true),
    " ": () => zoom(active, true),
    Escape: () => { if (zoomed.parent) { const from = zoomed; zoom(zoomed.parent, true); move(from); } },
  };
  const action = actions[event.key];
  if (action && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); action(); }
}

// Printing

let closed = [];
addEventListener("beforeprint", () => {
  // Of many leaks, what is open is what somebody wants on paper.
  closed = visible.length > 50 ? [] : cards.filter((card) => card.element && !card.element.open);
  for (const card of closed) { card.element.open = true; card.fill(); }
});
addEventListener("afterprint", () => { for (const card of closed) card.element.open = false; });
addEventListener("hashchange", followHash);
$("open-all").addEventListener("click", () => openAll(true));
$("close-all").addEventListener("click", () => openAll(false));

prepareTheme();
showHead();
collapse();
prepareFilters();
prepareTimeline();
prepareIcicle();
update();
followHash();
})();
