/* The list of articles with its filters, and the reader beside it.

   An entry is what data.py calls a summary: title, id, outlet, date, and for each label [segments, to review,
   unverified, both]. `load(index)` gives the record of an entry. */

function summaryOf(record) {
  const counts = config.labels.map((label) => {
    const of = record.segments.filter((segment) => segment.label === label.id);
    const review = of.filter((segment) => segment.needs_review);
    const unverified = of.filter((segment) => segment.unverified);
    return [of.length, review.length, unverified.length, review.filter((segment) => segment.unverified).length];
  });
  return { title: record.title, id: record.article_id, outlet: record.outlet, date: record.date, counts };
}

function plainText(text) {
  return (text || "").normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function makeList() {
  const byId = (id) => document.getElementById(id);
  const reader = makeReader(byId("article"), byId("detail"));
  const list = byId("articles");
  const boxes = [...document.querySelectorAll("#filters input[data-label]")];
  const review = byId("only-review");
  const unverified = byId("only-unverified");
  const hide = byId("hide-rest");
  const outlet = byId("outlet");
  const search = byId("search");
  let entries = [];
  let load = null;
  let open = -1;

  const chosen = () => boxes.map((box) => box.checked);

  function matches(segment) {
    const on = chosen()[config.labels.findIndex((label) => label.id === segment.label)];
    return on && (!review.checked || Boolean(segment.needs_review)) && (!unverified.checked || Boolean(segment.unverified));
  }

  function matching(entry) {
    const column = (review.checked ? 1 : 0) + (unverified.checked ? 2 : 0);
    const on = chosen();
    return entry.counts.reduce((sum, row, i) => sum + (on[i] ? row[column] : 0), 0);
  }

  const filtering = () => review.checked || unverified.checked || chosen().includes(false);

  function wanted(entry) {
    if (outlet.value !== "" && (entry.outlet || "") !== outlet.value.slice(1)) return false;
    const needle = plainText(search.value.trim());
    if (needle && !plainText(`${entry.title || ""} ${entry.outlet || ""} ${entry.id}`).includes(needle)) return false;
    return !filtering() || matching(entry) > 0;
  }

  function line(entry, index) {
    const parts = config.labels.map((label, i) =>
      make("span", { class: "count" },
        make("span", { class: `badge label-${label.letter}`, "aria-hidden": "true" }, label.letter),
        make("span", { class: "unseen" }, `${label.name} : `), String(entry.counts[i][0])));
    const toReview = entry.counts.reduce((sum, row) => sum + row[1], 0);
    parts.push(make("span", { class: "count" },
      make("span", { class: "badge review", "aria-hidden": "true" }, "?"),
      make("span", { class: "unseen" }, `${words.needs_review} : `), String(toReview)));
    const about = [entry.outlet, entry.date].filter(Boolean).join(" · ");
    const link = make("a", { href: `#article-${index}` },
      make("span", { class: "title", lang: "fr" }, make("bdi", null, entry.title || entry.id)),
      about ? make("span", { class: "about" }, make("bdi", null, about)) : null,
      make("span", { class: "counts" }, ...parts));
    return make("li", { "data-index": index }, link);
  }

  function update() {
    let shown = 0;
    for (const item of list.children) {
      item.hidden = !wanted(entries[Number(item.dataset.index)]);
      shown += item.hidden ? 0 : 1;
    }
    byId("found").textContent = say(words.found, { n: whole.format(shown), all: whole.format(entries.length) });
    if (open >= 0) reader.filter(matches, hide.checked);
    const counts = open >= 0 ? entries[open].counts : config.labels.map(() => [0, 0, 0, 0]);
    boxes.forEach((box, i) => { box.parentElement.querySelector(".number").textContent = whole.format(counts[i][0]); });
    const total = (column) => whole.format(counts.reduce((sum, row) => sum + row[column], 0));
    review.parentElement.querySelector(".number").textContent = total(1);
    unverified.parentElement.querySelector(".number").textContent = total(2);
  }

  function show(index) {
    if (!entries[index]) return;
    open = index;
    reader.show(load(index));
    for (const link of list.querySelectorAll("a[aria-current]")) link.removeAttribute("aria-current");
    const item = list.children[index];
    item.firstElementChild.setAttribute("aria-current", "true");
    update();
    // Within the list alone: scrollIntoView would move the page as well.
    const top = item.offsetTop;
    if (top < list.scrollTop || top + item.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top;
  }

  function step(by) {
    for (let i = open + by; i >= 0 && i < entries.length; i += by) {
      if (!list.children[i].hidden) {
        window.location.hash = `article-${i}`;
        return;
      }
    }
  }

  const fromHash = () => {
    const found = /^#article-(\d+)$/.exec(window.location.hash);
    return found && entries[Number(found[1])] ? Number(found[1]) : -1;
  };

  for (const control of [...boxes, review, unverified, hide, outlet]) control.addEventListener("change", update);
  search.addEventListener("input", update);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  window.addEventListener("hashchange", () => {
    const index = fromHash();
    if (index < 0) return;
    if (index !== open) show(index);
    const heading = byId("article").querySelector("h3");
    byId("reader").scrollIntoView();
    if (heading) heading.focus({ preventScroll: true });
  });

  return {
    fill(newEntries, loader) {
      entries = newEntries;
      load = loader;
      open = -1;
      const names = [...new Set(entries.map((entry) => entry.outlet || ""))].sort(new Intl.Collator(config.lang).compare);
      const options = names.map((name) => make("option", { value: `=${name}` }, name || words.no_outlet));
      outlet.replaceChildren(make("option", { value: "" }, words.all_outlets), ...options);
      list.replaceChildren(...entries.map(line));
      byId("reader").hidden = !entries.length;
      byId("reader").classList.toggle("single", entries.length === 1);
      const start = fromHash();
      if (entries.length) show(start >= 0 ? start : 0);
      return start;
    },
  };
}
