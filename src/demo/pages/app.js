// Two counters, a download and a request button; and a time line that shows when each of them was stopped.
"use strict";

const element = (id) => document.getElementById(id);
const pad = (number, width) => String(number).padStart(width, "0");
const clock = (at) =>
  `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}.${pad(at.getMilliseconds(), 3)}`;

function note(text, tone, link) {
  const at = new Date();
  const item = document.createElement("li");
  const time = document.createElement("time");
  const what = document.createElement("span");
  time.textContent = clock(at);
  what.textContent = text;
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link;
    anchor.textContent = "Sign in again";
    what.append(" ", anchor);
  }
  if (tone) item.className = tone;
  item.append(time, what);
  const list = element("timeline");
  list.append(item);
  while (list.children.length > 40) list.firstElementChild.remove();
  return at;
}

function show(id, state, words, value) {
  const line = element(id);
  line.dataset.state = state;
  line.querySelector("p").textContent = words;
  if (value !== undefined) line.querySelector("output").textContent = value;
}

// What was stopped, and when. The first end asks the gateway why; the answer decides what the banner says.
const stopped = new Map();
let over = false;

function end(id, words) {
  const at = note(words, "bad");
  stopped.set(id, at);
  show(id, "cut", `ended ${clock(at)}`);
  if (over) banner();
  else ask();
}

let asking = null;
function ask() {
  asking = asking || request("The next request").finally(() => { asking = null; });
  return asking;
}

let sent = 0;
async function request(name) {
  sent += 1;
  let answer;
  try {
    answer = await fetch("/api/now", { headers: { accept: "application/json" }, cache: "no-store" });
  } catch {
    note(`${name} got no answer`, "bad");
    show("fetch", "cut", "no answer", sent);
    return;
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) {
    note(`${name} answered ${answer.status}`, "good");
    show("fetch", "live", `answered ${answer.status}`, sent);
    if (stopped.size > 0 && !over) again();
    return;
  }
  const link = web(body.login_url);
  note(`${name} answered ${answer.status} ${body.error || ""}`, "bad", link);
  show("fetch", "cut", `answered ${answer.status} ${body.error || ""}`, sent);
  if (answer.status === 401) {
    over = true;
    banner(link);
  }
}

// A link from the answer is followed only if it leads to a web page.
function web(text) {
  try {
    const url = new URL(text, location.href);
    return text && /^https?:$/.test(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

function banner(link) {
  const times = [...stopped.values()].map(Number);
  element("banner").hidden = false;
  if (times.length > 0) {
    const first = Math.min(...times);
    const spread = Math.max(...times) - first;
    const all = times.length === 1 ? "One open line was stopped." : `${times.length} open lines were stopped within ${spread} ms.`;
    element("banner-title").textContent = `This session was ended at ${clock(new Date(first))}`;
    element("banner-text").textContent = `${all} Nothing that was begun in it reaches this app any more.`;
  } else {
    element("banner-title").textContent = "This session is over";
    element("banner-text").textContent = "The gateway refuses every request of it.";
  }
  if (link) {
    element("banner-action").href = link;
    element("banner-action").hidden = false;
  }
}

// The session is good and a line broke all the same (the app restarted, the network blinked): open it again.
function again() {
  const lost = [...stopped.keys()];
  stopped.clear();
  note("The session is still good: connecting again");
  setTimeout(() => lost.forEach((id) => ({ ws: openSocket, sse: openEvents, download: startDownload })[id]()), 1000);
}

function openSocket() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.onopen = () => { note("WebSocket opened", "good"); show("ws", "live", "open"); };
  socket.onmessage = (event) => show("ws", "live", "open", event.data);
  socket.onclose = (event) => end("ws", `WebSocket closed (${event.code}${event.reason ? `, ${event.reason}` : ""})`);
}

function openEvents() {
  const events = new EventSource("/events");
  events.onopen = () => { note("SSE opened", "good"); show("sse", "live", "open"); };
  events.onmessage = (event) => show("sse", "live", "open", event.data);
  events.onerror = () => { events.close(); end("sse", "SSE ended"); };
}

async function startDownload() {
  const button = element("start-download");
  button.disabled = true;
  let bytes = 0;
  try {
    const answer = await fetch("/download", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    note("Download started", "good");
    const reader = answer.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.length;
      show("download", "live", "running", `${(bytes / 1024).toFixed(1)} KiB`);
    }
  } catch { /* the end is told below, however it came */ }
  button.disabled = false;
  end("download", `Download stopped after ${(bytes / 1024).toFixed(1)} KiB`);
}

element("send-fetch").addEventListener("click", () => request("Your request"));
element("start-download").addEventListener("click", startDownload);
// Leaving the page ends everything too; that is no news.
addEventListener("pagehide", () => { over = true; });
openSocket();
openEvents();
