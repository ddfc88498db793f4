/* The report: its articles stand in the page, each in an element of its own that is read when it is opened. */

const articles = makeList();
const linked = articles.fill(JSON.parse(document.getElementById("index").textContent), (index) =>
  JSON.parse(document.getElementById(`data-${index}`).textContent));
if (linked >= 0) document.getElementById("reader").scrollIntoView();
performance.mark("first-article");

document.getElementById("print").addEventListener("click", () => window.print());

// The profile of the article is part of what is printed.
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("#article details:not([open])")];
  for (const element of closed) element.open = true;
});
window.addEventListener("afterprint", () => {
  for (const element of closed) element.open = false;
});
