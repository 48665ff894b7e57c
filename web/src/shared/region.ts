/** Parts of a page that are replaced by what the page says now. Nothing in them runs: the policy of our pages allows no script but files. */

const LIVE = "[data-live]";

/** The regions as the server said them last, before any script drew in them: what is the same again is left alone. */
const said = new Map<string, Node>();
if (typeof document !== "undefined") {
  for (const region of document.querySelectorAll<HTMLElement>(LIVE)) said.set(region.id, region.cloneNode(true));
}

/** What names an element to people, so that the one in its place can have its focus or its tick. */
export function signature(element: { tagName: string; getAttribute(name: string): string | null }): string {
  const named = ["id", "name", "value", "href", "aria-label"].map((name) => element.getAttribute(name) ?? "");
  return [element.tagName, ...named].join("\u0000");
}

/** Put the children of each element that `found` has into the element with the same id; keep focus, ticks, open details and scrolling. */
export function replaceRegions(found: ParentNode, selector: string): void {
  for (const fresh of found.querySelectorAll<HTMLElement>(selector)) {
    const old = fresh.id ? document.getElementById(fresh.id) : null;
    if (!old || said.get(fresh.id)?.isEqualNode(fresh)) continue;
    said.set(fresh.id, fresh.cloneNode(true));
    const focused = old.contains(document.activeElement) && document.activeElement ? signature(document.activeElement) : null;
    const ticked = new Set([...old.querySelectorAll<HTMLInputElement>("input:checked")].map(signature));
    const open = new Set([...old.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
    const scrolled = new Map([...old.querySelectorAll(".scroll")].map((one) => [signature(one), [one.scrollLeft, one.scrollTop] as const]));
    old.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    for (const input of old.querySelectorAll<HTMLInputElement>("input[type=checkbox]")) input.checked = ticked.has(signature(input));
    for (const summary of old.querySelectorAll("details > summary")) {
      if (open.has(summary.textContent)) (summary.parentElement as HTMLDetailsElement).open = true;
    }
    for (const one of old.querySelectorAll(".scroll")) {
      const place = scrolled.get(signature(one));
      if (place) [one.scrollLeft, one.scrollTop] = place;
    }
    if (focused !== null) {
      const same = [...old.querySelectorAll<HTMLElement>("a, button, input, summary, [tabindex]")].find((one) => signature(one) === focused);
      same?.focus({ preventScroll: true });
    }
  }
  document.dispatchEvent(new Event("regions"));
}

/** Load a page of this site. Rejects where it is not to be had. */
export async function pageOf(address: string): Promise<Document> {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Replace what is live on this page by what `address` has now; return how many records that shows. */
export async function refreshed(address: string): Promise<number> {
  const found = await pageOf(address);
  replaceRegions(found, `${LIVE}, footer`);
  return Number(found.querySelector<HTMLElement>("[data-island=live]")?.dataset["offset"] ?? "0");
}
