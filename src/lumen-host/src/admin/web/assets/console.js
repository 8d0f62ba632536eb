"use strict";
// The console: asks the management interface every two seconds and shows what it says. Texts of clients are only ever set
// as text, never as markup.

const $ = (id) => document.getElementById(id);
const KINDS = ["keyboard", "pointer", "gamepad"];
const STREAMS = ["clipboard", "microphone"];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const options = { method, headers: {}, cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, (value && value.error) || `the host answered ${answer.status}`);
  return value;
}

function show(loggedIn) {
  $("login").hidden = loggedIn;
  $("console").hidden = !loggedIn;
}

// What a button does; what goes wrong stands at the top until the next thing goes well.
async function act(work) {
  try {
    await work();
    $("error").textContent = "";
  } catch (error) {
    if (error.status === 401) return show(false);
    $("error").textContent = error.message;
  }
  await refresh();
}

async function logIn(token) {
  try {
    await ask("POST", "/login", { token });
    $("token").value = "";
    $("login-error").textContent = "";
    await refresh();
  } catch (error) {
    show(false);
    $("login-error").textContent = error.message;
  }
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function ago(at) {
  if (at === null) return "never";
  const passed = Math.max(0, Math.floor(Date.now() / 1000) - at);
  return passed < 60 ? "just now" : `${span(passed)} ago`;
}

function button(text, work) {
  const made = element("button", { type: "button", textContent: text });
  made.addEventListener("click", () => act(work));
  return made;
}

// A row is only made anew when what it shows has changed, so that nobody loses what they type.
function rows(parent, items, key, make) {
  const known = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  const wanted = items.map((item) => {
    const text = JSON.stringify(key(item));
    const row = known.get(text) || make(item);
    row.dataset.key = text;
    return row;
  });
  const same = wanted.length === parent.children.length && wanted.every((row, at) => row === parent.children[at]);
  if (!same) parent.replaceChildren(...wanted);
}

function cells(...contents) {
  return element("tr", {}, ...contents.map((content) => element("td", {}, content)));
}

function waiting(attempt) {
  const pin = element("input", { className: "pin", inputMode: "numeric", pattern: "[0-9]{4}", maxLength: 4, required: true });
  pin.setAttribute("aria-label", "PIN");
  pin.placeholder = "PIN";
  const name = element("input", { placeholder: "name to remember it by", maxLength: 64 });
  name.setAttribute("aria-label", "Name");
  const form = element("form", {}, element("span", { textContent: `${attempt.name || "A client"} at ${attempt.address}` }), pin, name, element("button", { textContent: "Let in" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(async () => {
      const entry = { pin: pin.value, id: attempt.id };
      if (name.value.trim()) entry.name = name.value.trim();
      const outcome = await ask("POST", "/v1/pairing", entry);
      if (outcome.result !== "paired") throw new Error(`Not paired: ${outcome.reason}.`);
      $("paired").textContent = `${outcome.client.name} may stream now.`;
    });
  });
  return element("li", {}, form);
}

function inputs(client) {
  const declared = client.origin === "declared";
  return element("span", {}, ...KINDS.map((kind) => {
    const box = element("input", { type: "checkbox", checked: client.may.input.includes(kind), disabled: declared });
    box.addEventListener("change", () => act(() => {
      const input = KINDS.filter((other) => (other === kind ? box.checked : client.may.input.includes(other)));
      return ask("PUT", `/v1/clients/${client.fingerprint}/grants`, { ...client.grants, input });
    }));
    return element("label", {}, box, ` ${kind}`);
  }));
}

function streams(client) {
  const declared = client.origin === "declared";
  return element("span", {}, ...STREAMS.map((stream) => {
    const box = element("input", { type: "checkbox", checked: client.may[stream], disabled: declared });
    box.addEventListener("change", () => act(() =>
      ask("PUT", `/v1/clients/${client.fingerprint}/grants`, { ...client.grants, [stream]: box.checked })));
    return element("label", {}, box, ` ${stream}`);
  }));
}

function client(one) {
  const path = `/v1/clients/${one.fingerprint}`;
  const apps = one.may.apps.includes("*") ? "all" : one.may.apps.join(", ") || "none";
  const row = cells(one.name, one.origin, ago(one.last_seen), inputs(one), streams(one), apps, "");
  row.lastChild.className = "actions";
  if (one.origin === "declared") {
    row.lastChild.append(element("span", { className: "note", textContent: "change it in the configuration" }));
  } else {
    row.lastChild.append(
      button("Rename", async () => {
        const name = prompt("New name", one.name);
        if (name) await ask("PATCH", path, { name });
      }),
      " ",
      button("Remove", async () => {
        if (confirm(`Remove ${one.name}? What it streams ends, and it must pair again.`)) await ask("DELETE", path);
      }),
    );
  }
  return row;
}

function session(one) {
  const video = [one.codec, one.encoder].filter(Boolean).join(" by ") || "-";
  const row = cells(one.client, one.app, one.state, one.mode || "-", video, String(one.frames_sent), "");
  row.lastChild.className = "actions";
  row.lastChild.append(button("End", async () => {
    if (confirm(`End ${one.app} of ${one.client}?`)) await ask("POST", `/v1/sessions/${one.id}/stop`);
  }));
  return row;
}

function finding(one) {
  const row = cells(element("span", { className: one.status, textContent: one.status }), one.check, one.finding);
  if (one.remedy) row.lastChild.append(element("div", { className: "note", textContent: one.remedy }));
  return row;
}

async function refresh() {
  let status;
  let clients;
  try {
    [status, clients] = await Promise.all([ask("GET", "/v1/status"), ask("GET", "/v1/clients")]);
  } catch (error) {
    if (error.status === 401) return show(false);
    $("error").textContent = error instanceof Refused ? error.message : "The host does not answer.";
    return;
  }
  show(true);
  if ($("error").textContent === "The host does not answer.") $("error").textContent = "";
  document.title = status.name;
  $("name").textContent = status.name;
  $("about").textContent = `lumen ${status.version}, up for ${span(status.uptime_seconds)}; ${status.addresses.join(", ")} port ${status.port}; ${status.encoders.join(", ") || "no encoder"}`;
  $("nobody").hidden = status.pairing.length > 0;
  rows($("pairing"), status.pairing, (one) => one.id, waiting);
  rows($("sessions"), status.sessions, (one) => ({ ...one, age_seconds: 0 }), session);
  rows($("clients"), clients, (one) => ({ ...one, last_seen: ago(one.last_seen) }), client);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn($("token").value);
});
$("logout").addEventListener("click", () => act(async () => {
  await ask("DELETE", "/login");
  show(false);
}));
$("examine").addEventListener("click", () => act(async () => {
  $("health").textContent = "examining…";
  try {
    const report = await ask("GET", "/v1/doctor");
    $("findings").replaceChildren(...report.findings.map(finding));
    $("health").className = report.status;
    $("health").textContent = { ok: "All is well.", warn: "It works; some things could be better.", fail: "It does not work yet." }[report.status];
  } catch (error) {
    $("health").textContent = "";
    throw error;
  }
}));

// `lumen web` prints the address with the token behind a #, which browsers do not send.
const given = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
(given ? logIn(given) : refresh()).then(() => setInterval(() => $("console").hidden || refresh(), 2000));
