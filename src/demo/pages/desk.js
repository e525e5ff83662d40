// Keeps the desk's tables fresh without losing the place on the page.
"use strict";

setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("/desk", { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    const shown = document.getElementById("live");
    if (fresh && fresh.innerHTML !== shown.innerHTML && !shown.contains(document.activeElement)) shown.replaceWith(fresh);
  } catch { /* the demo has ended; the last state stays on the page */ }
}, 1500);
