// Says on every page that the server's disk takes nothing more, and that it does again.
import { byId } from "./dom.js";
import { getJson, poll } from "./net.js";

poll(async () => {
  const { note } = await getJson("/disk.json");
  const shown = byId("disk");
  if (shown.textContent !== note) shown.textContent = note;
  shown.hidden = !note;
  return 5_000;
});
