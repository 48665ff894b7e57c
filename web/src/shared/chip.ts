/** The chip of the evidence, kept up to date on an open page: what the server finds turns it red without a reload. */

const EVERY_MS = 10_000;
const SIGNS: Readonly<Record<string, string>> = { verified: "✓", broken: "✗", checking: "…" };

interface Verified {
  readonly status: string;
  readonly text: string;
}

/** Look again and again while the page is seen. */
export function watchChip(): void {
  const chip = document.getElementById("verified");
  if (chip === null) return;
  setInterval(() => {
    if (!document.hidden) void refresh(chip);
  }, EVERY_MS);
}

async function refresh(chip: HTMLElement): Promise<void> {
  const answer = await fetch("/verified.json").catch(() => null);
  if (answer === null || !answer.ok) return; // The server is away, or we are logged out: the next page says so.
  const { status, text } = (await answer.json()) as Verified;
  const [sign, said] = [chip.querySelector("[aria-hidden]"), chip.querySelector(".text")];
  if (sign === null || said === null || (chip.dataset["status"] === status && said.textContent === text)) return;
  chip.className = `chip verified ${status}`;
  chip.dataset["status"] = status;
  sign.textContent = SIGNS[status] ?? "○";
  said.textContent = text;
}
