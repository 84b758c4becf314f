// What the pages cannot do without a script: filter as one types, and refresh in place. Nothing here makes mark-up of text.
"use strict";

(() => {
  const SECONDS = 10;
  const KEPT = "secureai-refresh";
  const button = document.getElementById("refresh");
  const notice = document.getElementById("notice");
  const search = document.querySelector("[data-filters]");
  let timer = 0;
  let asked = null;

  // Hides the rows that do not have the text; the form itself asks the server, which looks at all pages.
  function filter() {
    const table = search && document.getElementById(search.dataset.filters);
    if (!table) return;
    const sought = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = sought !== "" && !row.textContent.toLowerCase().includes(sought);
      if (!row.hidden) shown += 1;
    }
    const line = document.getElementById("shown");
    if (!line) return;
    line.dataset.all ??= line.textContent;
    line.textContent = sought === "" ? line.dataset.all : `${shown} of the rows below have "${sought}"`;
  }

  // The parts that change are taken from the new page; focus stays on the link that had it.
  function take(fresh) {
    const focused = document.activeElement && document.activeElement.getAttribute("href");
    for (const old of document.querySelectorAll("[data-live]")) {
      const part = fresh.getElementById(old.id);
      if (!part) continue;
      const left = [...old.querySelectorAll(".scroll, figure")].map((one) => one.scrollLeft);
      old.replaceWith(document.adoptNode(part));
      part.querySelectorAll(".scroll, figure").forEach((one, at) => { one.scrollLeft = left[at] ?? 0; });
    }
    if (focused && document.activeElement === document.body) {
      for (const link of document.links) {
        if (link.getAttribute("href") === focused) { link.focus({ preventScroll: true }); break; }
      }
    }
    filter();
  }

  function failed() {
    if (notice) notice.textContent = "The last refresh was not answered: what is shown is old.";
  }

  function refresh() {
    // Whoever marks a text to copy it keeps it.
    if (document.hidden || asked || String(document.getSelection())) return;
    asked = new XMLHttpRequest();
    asked.open("GET", location.href);
    asked.responseType = "document";
    asked.timeout = 30000;
    asked.onload = () => {
      const { status, response } = asked;
      if (status !== 200 || !response) { failed(); return; }
      if (notice) notice.textContent = "";
      take(response);
    };
    asked.onerror = asked.ontimeout = failed;
    asked.onloadend = () => { asked = null; };
    asked.send();
  }

  function repeat(on) {
    button.setAttribute("aria-pressed", String(on));
    sessionStorage.setItem(KEPT, on ? "on" : "");
    clearInterval(timer);
    if (on) timer = setInterval(refresh, SECONDS * 1000);
  }

  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      repeat(on);
      if (on) refresh();
    });
    if (sessionStorage.getItem(KEPT)) repeat(true);
  }
  if (search) search.addEventListener("input", filter);
})();
