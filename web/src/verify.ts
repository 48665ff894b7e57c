// "Verify in this browser": what the page shows, against a checkpoint that the auditor kept. The work is in evidence/.

import type { Bytes } from "./evidence/bytes";
import { changeOf, envelopeOf, type Stored } from "./evidence/record";
import { examine, FACTS, inWords, type Shown, type Source, type Step } from "./evidence/examine";
import { element, islands } from "./shared/island";

const MARKS = { ok: "✓", bad: "✗", open: "○" } as const;

islands("verify", (root) => {
  const form = root.querySelector<HTMLFormElement>("form");
  const steps = root.querySelector<HTMLElement>(".verify-steps");
  const outcome = root.querySelector<HTMLElement>(".verify-outcome");
  if (form === null || steps === null || outcome === null) return;
  form.hidden = false;
  if (!("subtle" in crypto)) {
    outcome.textContent = "This browser offers its cryptography to https and to localhost alone: open the page there to verify.";
    return;
  }
  let running = 0;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    running += 1;
    void run(form, steps, outcome, running, () => running);
  });
});

/** Examine, and show each step as it is done. number: of this run; a later one takes its place. */
async function run(form: HTMLFormElement, steps: HTMLElement, outcome: HTMLElement, number: number, latest: () => number): Promise<void> {
  const fields = new FormData(form);
  const rows = [...document.querySelectorAll<HTMLElement>("[data-record]")];
  steps.replaceChildren();
  for (const row of rows) mark(row, null);
  outcome.className = "verify-outcome";
  outcome.textContent = "Fetching, and computing hashes…";
  const asked = { pasted: String(fields.get("checkpoint") ?? ""), keys: String(fields.get("keys") ?? ""), shown: rows.map(shownIn) };
  const done: Step[] = [];
  for await (const step of examine(asked, server)) {
    if (number !== latest()) return;
    done.push(step);
    if (step.record === undefined || step.state === "bad") steps.append(element("li", { class: `verify-${step.state}` }, `${MARKS[step.state]} ${step.text}`));
    const row = step.record === undefined ? undefined : rows.find((one) => one.dataset["record"] === String(step.record));
    if (row !== undefined) mark(row, step);
    if (step.stored !== undefined && rows.length === 1) showBytes(step.stored);
  }
  const { state, text } = inWords(done, asked.pasted.trim() !== "");
  outcome.className = `verify-outcome verify-${state}`;
  outcome.textContent = `${MARKS[state]} ${text}`;
}

/** Return what the page says of a record. */
function shownIn(row: HTMLElement): Shown {
  const facts = new Map<string, string>();
  for (const cell of row.querySelectorAll<HTMLElement>("[data-fact]")) {
    const name = cell.dataset["fact"] ?? "";
    if (!FACTS.includes(name)) continue;
    facts.set(name, cell.textContent ?? "");
  }
  return { offset: Number(row.dataset["record"]), facts };
}

function mark(row: HTMLElement, step: Step | null): void {
  const place = row.querySelector<HTMLElement>(".verify-mark");
  row.classList.remove("verified-ok", "verified-bad", "verified-open");
  if (place === null) return;
  place.replaceChildren();
  if (step === null) return;
  row.classList.add(`verified-${step.state}`);
  place.append(element("span", { title: step.text, role: "img", "aria-label": step.text }, MARKS[step.state]));
}

/** Show what the bytes say that are proven to be in the log: read here, not by the server. */
function showBytes(stored: Stored): void {
  const section = document.querySelector<HTMLElement>(".verified-bytes");
  const place = section?.querySelector("pre");
  if (section === null || place === null || place === undefined) return;
  const envelope = envelopeOf(stored);
  const lines = [`envelope ${written(envelope)}`, ...stored.changes.map((change, at) => `change ${at} ${written(changeOf(change))}`)];
  place.textContent = lines.join("\n");
  section.hidden = false;
}

/** Return any value as text: JSON, with bytes in hexadecimal. */
function written(value: unknown): string {
  const plain = (one: unknown): unknown => {
    if (one instanceof Uint8Array) return Array.from(one, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (one instanceof Map) return Object.fromEntries([...one].map(([key, held]) => [String(key), plain(held)]));
    if (Array.isArray(one)) return one.map(plain);
    return typeof one === "bigint" ? one.toString() : one;
  };
  return JSON.stringify(plain(value), null, 1);
}

const server: Source = {
  async checkpoint() {
    const answer = await ask("checkpoint");
    return answer === null ? null : new TextDecoder().decode(answer);
  },
  tile: ask,
  async frame(offset) {
    const answer = await ask(`records/${offset}`);
    if (answer === null) throw new Error("the server does not have it");
    return answer;
  },
};

/** Return what lies under a path of /tlog, as it is now, null where nothing does. */
async function ask(path: string): Promise<Bytes | null> {
  const answer = await fetch(`/tlog/${path}`, { cache: "no-store", credentials: "same-origin" });
  if (answer.status === 404) return null;
  if (!answer.ok) {
    const said = (await answer.json().catch(() => ({}))) as { message?: unknown };
    throw new Error(typeof said.message === "string" ? said.message : `the server answered ${answer.status} for ${path}`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}
