/* The reader: one scored article (schema 1) as marked text, and the detail of the segment in hand.

   Nothing here parses markup: text enters the page as text nodes only, so no page can run anything. */

const config = JSON.parse(document.getElementById("config").textContent);
const words = config.words;
const percent = new Intl.NumberFormat(config.lang, { style: "percent", maximumFractionDigits: 0 });
const whole = new Intl.NumberFormat(config.lang);

function say(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Make an element; attributes that are null or false are left out, children may be strings. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A function that cuts a text at offsets in characters, as Python counts them, not in UTF-16 units. */
function cutter(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (start, end) => text.slice(start, end);
  const characters = Array.from(text);
  return (start, end) => characters.slice(start, end).join("");
}

function safeUrl(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

const SPANS = ["source", "cue", "antecedent", "anonymity_reason"];

/** Every mark of an article, in order: {start, end, kind, of: index of the segment that it belongs to}. */
function marksOf(record) {
  const marks = [];
  record.segments.forEach((segment, of) => {
    for (const kind of SPANS) {
      const span = segment.attribution && segment.attribution[kind];
      if (span) marks.push({ start: span.start, end: span.end, kind, of });
    }
  });
  return marks.sort((a, b) => a.start - b.start);
}

/** Append a segment's text to its element, cut where marks begin and end. */
function appendText(element, segment, marks, cut) {
  const inside = marks.filter((mark) => mark.start < segment.end && mark.end > segment.start);
  const edges = new Set([segment.start, segment.end]);
  for (const mark of inside) {
    edges.add(Math.max(mark.start, segment.start));
    edges.add(Math.min(mark.end, segment.end));
  }
  const places = [...edges].sort((a, b) => a - b);
  for (let i = 0; i + 1 < places.length; i += 1) {
    const text = cut(places[i], places[i + 1]);
    const over = inside.filter((mark) => mark.start <= places[i] && mark.end >= places[i + 1]);
    if (!over.length) {
      element.append(text);
      continue;
    }
    const piece = make("span", { class: [...new Set(over.map((mark) => mark.kind))].join(" ") }, text);
    const pointing = over.filter((mark) => mark.kind === "antecedent").map((mark) => mark.of);
    if (pointing.length) piece.dataset.of = pointing.join(" ");
    element.append(piece);
  }
}

function probabilitiesOf(segment) {
  const found = segment.probabilities;
  return Array.isArray(found) ? found : config.labels.map((label) => found[label.id] || 0);
}

function badge(label, segment) {
  // A no-break space, and a word joiner: the letter stays with the first word of its segment.
  const flags = `${segment.needs_review ? "?" : ""}${segment.unverified ? `\u00a0${words.unverified_short}` : ""}\u2060`;
  const hidden = [label.name, segment.needs_review && words.needs_review, segment.unverified && words.unverified];
  return make(
    "span",
    { class: "badge" },
    make("span", { "aria-hidden": "true" }, label.letter + flags),
    make("span", { class: "unseen" }, ` ${hidden.filter(Boolean).join(", ")} : `),
  );
}

/** Return the article's segments as elements inside paragraphs; the page's line and paragraph breaks are kept. */
function renderText(record) {
  const cut = cutter(record.text);
  const marks = marksOf(record);
  const paragraphs = [];
  const segments = [];
  let end = 0;
  record.segments.forEach((segment, index) => {
    const gap = cut(end, segment.start);
    const lines = gap.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/).length - 1;
    if (!paragraphs.length || lines > 1) paragraphs.push(make("p"));
    else if (lines) paragraphs.at(-1).append(make("br"));
    else if (gap) paragraphs.at(-1).append(" ");
    const label = config.labels.find((one) => one.id === segment.label);
    const kinds = ["segment", `label-${label.letter}`, segment.role === "headline" && "headline"];
    const element = make("mark", { class: kinds.filter(Boolean).join(" "), tabindex: "-1", "data-index": index });
    element.classList.toggle("review", Boolean(segment.needs_review));
    element.append(badge(label, segment));
    appendText(element, segment, marks, cut);
    paragraphs.at(-1).append(element);
    segments.push(element);
    end = segment.end;
  });
  return { paragraphs, segments };
}

function quoted(text) {
  return make("q", { lang: "fr" }, text);
}

/** Fill the panel with what is known of one segment; `go` moves to another segment, or with -1 to none. */
function showDetail(panel, record, index, go) {
  const segment = record.segments[index];
  const cut = cutter(record.text);
  const of = (span) => quoted(span.text || cut(span.start, span.end));
  const label = config.labels.find((one) => one.id === segment.label);
  const rows = make("dl");
  const row = (name, ...content) => rows.append(make("dt", null, name), make("dd", null, ...content));
  const said = segment.attribution || {};
  if (said.source) row(words.source, of(said.source));
  if (said.source_type) row(words.kind, config.kinds[said.source_type] || said.source_type);
  if (said.cue) row(words.cue, of(said.cue));
  if (said.antecedent) row(words.antecedent, of(said.antecedent), ` ${words.inferred}`);
  if (typeof said.source_segment === "number" && record.segments[said.source_segment]) {
    const link = make("button", { type: "button", class: "plain" }, say(words.segment_n, { n: said.source_segment + 1 }));
    link.addEventListener("click", () => go(said.source_segment));
    const first = record.segments[said.source_segment].attribution || {};
    row(words.carried, link, ...[first.source, first.antecedent].filter(Boolean).flatMap((span) => [", ", of(span)]));
  }
  if (said.anonymity_reason) row(words.anonymity_reason, of(said.anonymity_reason));
  if (segment.unverified) row(words.unverified, words.unverified_hint);
  if (segment.needs_review) row(words.needs_review, words.needs_review_hint);

  const bars = make("ul", { class: "bars" });
  probabilitiesOf(segment).forEach((p, i) => {
    const bar = make("span", { class: `bar label-${config.labels[i].letter}` });
    bar.style.width = `${Math.max(1, Math.round(p * 100))}%`;
    const name = make("span", { class: "name" }, `${config.labels[i].letter} ${config.labels[i].name}`);
    bars.append(make("li", null, name, make("span", { class: "value" }, percent.format(p)), bar));
  });
  const places = { n: index + 1, all: record.segments.length, start: segment.start, end: segment.end };
  const close = make("button", { type: "button", class: "close" }, words.close);
  close.addEventListener("click", () => go(-1));
  panel.replaceChildren(
    close,
    make("p", { class: "verdict" },
      make("span", { class: `badge label-${label.letter}`, "aria-hidden": "true" }, label.letter),
      make("strong", null, ` ${label.name} `),
      make("span", { class: "sure" }, say(words.confidence, { p: percent.format(segment.confidence) }))),
    rows,
    make("p", { class: "small" }, words.probabilities),
    bars,
    make("p", { class: "small" }, say(words.place, places)),
  );
}

/** A figure with its interval and n, as the row of a table; small n is greyed and says so. */
function figureRow(name, figure) {
  const few = figure.n < config.few;
  const shown = config.numbers.includes(name) ? (x) => whole.format(Math.round(x)) : (x) => percent.format(x);
  const known = (x) => x !== null && x !== undefined;
  const value = known(figure.value) ? shown(figure.value) : "–";
  const end = config.numbers.includes(name) ? shown : (x) => whole.format(Math.round(x * 100));
  const range = known(figure.low) && known(figure.high) ? `[${end(figure.low)}–${end(figure.high)}]` : "";
  return make("tr", { class: few ? "few" : null },
    make("th", { scope: "row" }, config.signals[name]),
    make("td", null, value),
    make("td", null, range),
    make("td", null, whole.format(figure.n) + (few ? " *" : "")));
}

function renderProfile(profile) {
  const head = [words.signal, words.value, words.interval, "n"].map((name) => make("th", { scope: "col" }, name));
  const body = make("tbody");
  for (const name of Object.keys(config.signals)) {
    const figure = profile.figures && profile.figures[name];
    if (figure && figure.n) body.append(figureRow(name, figure));
  }
  const table = make("table", null, make("thead", null, make("tr", null, ...head)), body);
  const about = profile.corrected ? words.corrected : words.not_corrected;
  return make("details", { class: "profile", lang: config.lang },
    make("summary", null, words.profile),
    make("p", { class: "small" }, `${about} ${say(words.few, { n: config.few })}`),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": words.profile }, table));
}

function renderHead(record) {
  const url = safeUrl(record.url);
  const details = [record.outlet, record.date].filter(Boolean).map((text) => make("span", null, make("bdi", null, text)));
  if (url) details.push(make("a", { href: url, rel: "noopener noreferrer" }, make("bdi", null, record.url)));
  else if (record.url) details.push(make("span", null, make("bdi", null, record.url)));
  details.push(make("span", { lang: config.lang }, say(words.model, { name: record.model_version })));
  return [
    make("h3", { tabindex: "-1" }, make("bdi", null, record.title || record.article_id)),
    make("p", { class: "meta" }, ...details),
    ...(record.warnings || []).map((text) => make("p", { class: "warning" }, make("bdi", null, text))),
  ];
}

/** The reader over one article at a time: `show(record)`, `filter(state)`; see list.js for the state. */
function makeReader(article, panel) {
  let record = null;
  let segments = [];
  let current = -1;

  const visible = (index) => !segments[index].classList.contains("faded");

  function point(index) {
    for (const element of article.querySelectorAll(".pointed")) element.classList.remove("pointed");
    if (index < 0) return;
    for (const element of article.querySelectorAll("[data-of]")) {
      element.classList.toggle("pointed", element.dataset.of.split(" ").includes(String(index)));
    }
    const from = (record.segments[index].attribution || {}).source_segment;
    if (typeof from === "number" && segments[from]) segments[from].classList.add("pointed");
  }

  function look(index) {
    document.body.classList.toggle("looking", index >= 0);
    point(index);
    if (index >= 0) showDetail(panel, record, index, go);
    else panel.replaceChildren(make("p", { class: "small" }, words.no_segment));
  }

  function go(index) {
    if (!segments[index]) {
      look(-1);
      return;
    }
    segments[index].focus({ preventScroll: true });
    segments[index].scrollIntoView({ block: "nearest" });
  }

  function step(from, by, wanted) {
    for (let i = from + by; i >= 0 && i < segments.length; i += by) if (wanted(i)) return go(i);
    return undefined;
  }

  const indexOf = (event) => {
    const element = event.target instanceof Element ? event.target.closest("mark.segment") : null;
    return element ? Number(element.dataset.index) : -1;
  };

  article.addEventListener("focusin", (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    if (segments[current]) segments[current].tabIndex = -1;
    current = index;
    segments[index].tabIndex = 0;
    look(index);
  });
  for (const part of [article, panel]) {
    // Where the focus went is known when the event is over.
    part.addEventListener("focusout", () => setTimeout(() => {
      const at = document.activeElement;
      if (record && document.hasFocus() && !article.contains(at) && !panel.contains(at)) look(-1);
    }));
  }
  article.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse" && indexOf(event) >= 0) look(indexOf(event));
  });
  // The panel keeps what was pointed at last, so that the pointer can go there, unless a segment has the focus.
  article.addEventListener("pointerleave", () => {
    if (record && article.contains(document.activeElement)) look(current);
  });
  article.addEventListener("keydown", (event) => {
    const index = indexOf(event);
    if (index < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const needs = (i) => visible(i) && Boolean(record.segments[i].needs_review);
    const keys = {
      ArrowDown: () => step(index, 1, visible),
      ArrowRight: () => step(index, 1, visible),
      ArrowUp: () => step(index, -1, visible),
      ArrowLeft: () => step(index, -1, visible),
      Home: () => step(-1, 1, visible),
      End: () => step(segments.length, -1, visible),
      n: () => step(index, 1, needs),
      p: () => step(index, -1, needs),
      Escape: () => { segments[index].blur(); look(-1); },
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  return {
    show(next) {
      record = next;
      current = -1;
      const text = renderText(record);
      segments = text.segments;
      const body = make("div", { class: "text" }, ...text.paragraphs);
      if (!segments.length) body.append(make("p", { class: "small", lang: config.lang }, words.blank));
      article.replaceChildren(...renderHead(record), body, ...(record.profile ? [renderProfile(record.profile)] : []));
      look(-1);
    },
    filter(matches, hide) {
      segments.forEach((element, i) => {
        element.classList.toggle("faded", !matches(record.segments[i]));
        element.tabIndex = -1;
      });
      const stop = segments[current] && visible(current) ? current : segments.findIndex((_, i) => visible(i));
      if (segments[stop]) segments[stop].tabIndex = 0;
      article.classList.toggle("hide-rest", hide);
      for (const paragraph of article.querySelectorAll(".text > p")) {
        paragraph.classList.toggle("empty", !paragraph.querySelector("mark:not(.faded)"));
      }
    },
  };
}
