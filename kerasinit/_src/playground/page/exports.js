/** The export menu: the server makes a file, the browser saves it. */
import { bytesOf } from "playground/base64";
import { byId, make } from "playground/elements";

const KINDS = [
  ["svg", "Picture (SVG)"],
  ["png", "Picture (PNG)"],
  ["csv", "Numbers (CSV)"],
  ["script", "Python script"],
  ["html", "Replay (HTML)"],
];

/** Build the menu; `onExport(kind)` asks for a file. */
export function buildExports(onExport) {
  const [menu, opener, list] = ["export-menu", "export", "export-items"].map(byId);
  const items = KINDS.map(([kind, label]) => {
    const button = make("button", {
      type: "button", textContent: label, "data-testid": `export-${kind}`,
    });
    button.addEventListener("click", () => {
      close();
      onExport(kind);
    });
    return button;
  });
  list.replaceChildren(...items);

  function show(open) {
    list.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
  }
  const close = () => show(false);
  opener.addEventListener("click", () => show(list.hidden));
  document.addEventListener("click", ({ target }) => {
    if (!menu.contains(target)) close();
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    close();
    opener.focus();
  });
}

/** Save a file that the server sent. */
export function save({ name, type, text, base64 }) {
  const content = base64 === undefined ? text : bytesOf(base64);
  const address = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: address, download: name }).click();
  // Not before the browser has taken it.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
