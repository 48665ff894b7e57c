// Pages of now learn that the log has grown: what is marked with data-live is loaded anew, the rest says how much is new.
import { islands } from "./shared/island";
import { refreshed } from "./shared/region";

const QUIET_MS = 300; // Between two loads of a page; twice as long as a load took, where that is more.
const AGAIN_MS = 5_000; // After the server refused to tell: a stream that is only cut off is opened again by the browser itself.
const ANNOUNCE_MS = 10_000; // Between two things said to a screen reader.

islands("live", (root) => {
  let shown = Number(root.dataset["offset"] ?? "0");
  let end = shown;
  let stream: EventSource | null = null;
  let busy = false;
  let nextMs = 0;
  let saidMs = 0;
  const lists = document.querySelector("[data-live]") !== null;

  const say = (): void => {
    const count = end - shown;
    if (count <= 0) {
      root.replaceChildren();
      return;
    }
    const link = document.createElement("a");
    link.href = location.href;
    link.className = "chip news";
    link.textContent = `${count.toLocaleString("en")} new record${count === 1 ? "" : "s"}: reload`;
    root.replaceChildren(link);
  };

  const load = async (): Promise<void> => {
    if (busy || end <= shown || document.hidden) return;
    const waitMs = nextMs - Date.now();
    if (waitMs > 0) {
      setTimeout(() => void load(), waitMs);
      return;
    }
    busy = true;
    const beganMs = Date.now();
    try {
      shown = Math.max(shown, await refreshed(location.href));
      if (Date.now() - saidMs > ANNOUNCE_MS) {
        saidMs = Date.now();
        root.textContent = `as of #${shown.toLocaleString("en")}`;
        root.classList.add("hidden");
      }
    } catch {
      root.classList.remove("hidden");
      say(); // It can be reloaded by hand, which tells what is wrong.
    } finally {
      busy = false;
      nextMs = Date.now() + Math.max(QUIET_MS, 2 * (Date.now() - beganMs));
      if (end > shown) void load();
    }
  };

  const listen = (): void => {
    if (document.hidden) {
      stream?.close(); // A browser has few connections to one host: those who look need them.
      stream = null;
      return;
    }
    if (stream) return;
    stream = new EventSource("/live");
    stream.addEventListener("end", (event: MessageEvent<string>) => {
      end = Math.max(end, (JSON.parse(event.data) as { offset: number }).offset);
      if (lists) void load();
      else say();
    });
    stream.addEventListener("error", (event) => {
      if (event.target !== stream || stream?.readyState !== EventSource.CLOSED) return;
      stream = null;
      setTimeout(listen, AGAIN_MS);
    });
  };

  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => stream?.close());
  listen();
});
