import { islands } from "./shared/island";

islands("lineage", (root) => {
  root.hidden = false;
});
