// What happened since the last visit: the browser remembers how far this page was looked at, and asks for what came after.
import { islands } from "./shared/island";
import { pageOf, replaceRegions } from "./shared/region";

/** Return a number that was kept, null where there is none or nothing may be kept. */
const kept = (place: () => Storage, key: string): number | null => {
  try {
    const text = place().getItem(key);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
};

const keep = (place: () => Storage, key: string, value: number): void => {
  try {
    place().setItem(key, String(value));
  } catch {
    // It may not be kept: then nothing is remembered, and the form still asks.
  }
};

islands("home", (root) => {
  if (root.dataset["past"] !== undefined) return;
  const key = `evlog-seen-${root.dataset["log"] ?? ""}`;
  const now = Number(root.dataset["offset"] ?? "0");
  // Of this tab: the visit goes on while it is open, however often the page is loaded.
  const since = kept(() => sessionStorage, key) ?? kept(() => localStorage, key);
  if (since !== null) keep(() => sessionStorage, key, since);
  keep(() => localStorage, key, now);
  if (since === null || since >= now || new URLSearchParams(location.search).has("since")) return;
  void pageOf(`/?since=${encodeURIComponent(`#${since}`)}`)
    .then((found) => {
      const title = found.querySelector("#since-title");
      if (title) title.textContent = `Since your last visit, at #${since.toLocaleString("en")}`;
      replaceRegions(found, "#news");
    })
    .catch(() => undefined); // The rest of the page stands without it.
});
