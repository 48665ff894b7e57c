// What every page does with script: "/" goes to the search or filter, Escape closes what is open, the chip of the evidence stays new.
import { watchChip } from "./shared/chip";

watchChip();

const typing = (target: EventTarget | null): boolean => target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable], [role=application]");

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll<HTMLDetailsElement>("details.chip[open]")) {
      if (open.contains(document.activeElement)) open.querySelector("summary")?.focus(); // Else the focus would be where nothing is.
      open.open = false;
    }
  } else if (event.key === "/" && !typing(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = document.querySelector<HTMLInputElement>("input[type=search], input[name=q]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
});
