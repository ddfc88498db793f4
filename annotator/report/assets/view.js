/* The view at `/` of `annotator serve`: a text or a file goes to /score of the same server and comes back marked. */

const articles = makeList();
const form = document.getElementById("paste");
const pasted = document.getElementById("text");
const file = document.getElementById("file");
const drop = document.getElementById("drop");
const state = document.getElementById("state");
const button = form.querySelector("button[type=submit]");
// The address of the page may hold user and password, which fetch refuses: they are left out here, and sent anyway.
const target = new URL("score", window.location.origin + window.location.pathname);

const TYPES = {
  txt: "text/plain", md: "text/plain", html: "text/html", htm: "text/html", jsonl: "application/x-ndjson",
  ndjson: "application/x-ndjson", csv: "text/csv", parquet: "application/vnd.apache.parquet",
};

function tell(message, failed) {
  state.textContent = message;
  state.classList.toggle("failed", Boolean(failed));
}

async function score(body, type, name) {
  button.disabled = true;
  drop.setAttribute("aria-busy", "true");
  tell(words.scoring);
  try {
    const answer = await fetch(target, { method: "POST", headers: { "Content-Type": type }, body });
    const found = await answer.json().catch(() => null);
    if (!answer.ok || !found) {
      tell(say(words.refused, { reason: (found && found.error) || `HTTP ${answer.status}` }), true);
      return;
    }
    const records = Array.isArray(found) ? found : [found];
    if (records.length === 1 && !records[0].title) records[0].title = name;
    if (window.location.hash) window.history.replaceState(null, "", window.location.pathname + window.location.search);
    articles.fill(records.map(summaryOf), (index) => records[index]);
    const segments = records.reduce((sum, record) => sum + record.segments.length, 0);
    tell(say(words.scored, { articles: whole.format(records.length), segments: whole.format(segments) }));
    document.getElementById("reader").scrollIntoView();
    const heading = document.querySelector("#article h3");
    if (heading) heading.focus({ preventScroll: true });
  } catch {
    tell(words.unreachable, true);
  } finally {
    button.disabled = false;
    drop.removeAttribute("aria-busy");
  }
}

async function scoreFile(chosen) {
  const [, extension, packed] = /\.(\w+?)(\.gz)?$/i.exec(chosen.name) || [];
  const type = TYPES[(extension || "").toLowerCase()];
  if (!type) {
    tell(say(words.unknown_file, { name: chosen.name }), true);
    return;
  }
  let body = chosen;
  if (packed) {
    try {
      body = await new Response(chosen.stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    } catch {
      tell(say(words.damaged_file, { name: chosen.name }), true);
      return;
    }
  }
  await score(body, type, chosen.name);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (pasted.value.trim()) score(pasted.value, "text/plain; charset=utf-8", words.pasted);
  else tell(words.nothing, true);
});
document.getElementById("example").addEventListener("click", () => {
  pasted.value = words.example_text;
  form.requestSubmit();
});
pasted.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
file.addEventListener("change", () => {
  if (file.files.length) scoreFile(file.files[0]);
  file.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  drop.classList.remove("over");
  scoreFile(event.dataTransfer.files[0]);
});
