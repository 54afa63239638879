/** What went wrong, in the words of whoever knows, where it is seen and heard. */
import { byId } from "playground/elements";

/** Build the alert; return `{show(text, {reconnect}), clear()}`. */
export function buildAlerts(onReconnect) {
  const box = byId("alert-box");
  const reconnect = byId("reconnect");
  const clear = () => {
    box.hidden = true;
    byId("alert").textContent = "";
  };
  byId("dismiss").addEventListener("click", clear);
  reconnect.addEventListener("click", () => {
    clear();
    onReconnect();
  });
  return {
    clear,
    show(text, { again = false } = {}) {
      // The box first: what appears in a visible region is what is read out.
      box.hidden = false;
      reconnect.hidden = !again;
      byId("dismiss").hidden = again;
      byId("alert").textContent = text;
    },
  };
}
