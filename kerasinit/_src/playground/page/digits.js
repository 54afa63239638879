/** What a network confuses: counts of true and predicted classes, and misread images. */
import { byId, make, setText } from "playground/elements";
import { colour } from "playground/theme";

const BRIGHTEST = 16;
const MOST_WRONG = 12;

function buildTable(table, classes) {
  const corner = make("th", { scope: "col", textContent: "true ↓ read as →" });
  const heads = classes.map((name) => make("th", { scope: "col", textContent: name }));
  const lines = classes.map((name) => {
    const cells = classes.map(() => make("td", {}));
    return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
  });
  table.replaceChildren(
    make("thead", {}, make("tr", {}, corner, ...heads)),
    make("tbody", {}, ...lines),
  );
}

function fillTable(table, confusion) {
  confusion.forEach((counts, row) => {
    const total = Math.max(1, counts.reduce((sum, count) => sum + count, 0));
    const cells = table.tBodies[0].rows[row].cells;
    counts.forEach((count, column) => {
      const cell = cells[column + 1];
      setText(cell, String(count));
      cell.style.setProperty("--share", String(count / total));
      cell.classList.toggle("right-answer", row === column);
    });
  });
}

function drawImage(canvas, pixels, side) {
  const context = canvas.getContext("2d");
  const ink = colour("--ink");
  const paper = colour("--paper");
  pixels.forEach((value, place) => {
    const across = place % side;
    const down = Math.floor(place / side);
    context.globalAlpha = 1;
    context.fillStyle = paper;
    context.fillRect(across, down, 1, 1);
    context.globalAlpha = value / BRIGHTEST;
    context.fillStyle = ink;
    context.fillRect(across, down, 1, 1);
  });
}

/** Build a side's table and images; return `{begin(started), draw(view)}`. */
export function buildDigits(side) {
  const panel = byId(`${side}-digits`);
  const table = panel.querySelector("table");
  const wrong = panel.querySelector(".wrong");
  let started = null;
  let slots = [];

  function makeSlots(width) {
    slots = Array.from({ length: MOST_WRONG }, () => {
      const canvas = make("canvas", { width, height: width, role: "img" });
      const caption = make("figcaption", { textContent: "\u00a0" });
      const figure = make("figure", { className: "misread" }, canvas, caption);
      return { canvas, caption, figure };
    });
    wrong.replaceChildren(...slots.map(({ figure }) => figure));
  }

  function showWrong(found) {
    slots.forEach(({ canvas, caption, figure }, slot) => {
      const one = found[slot];
      figure.classList.toggle("absent", !one);
      if (!one) return;
      const [index, predicted, expected] = one;
      const [is, read] = [started.classes[expected], started.classes[predicted]];
      drawImage(canvas, started.images.test[index], started.images.side);
      canvas.setAttribute("aria-label", `a ${is}, read as ${read}`);
      setText(caption, `${is}, read as ${read}`);
    });
  }

  return {
    begin(message) {
      started = message;
      panel.hidden = message.points !== null;
      wrong.hidden = !message.images;
      if (panel.hidden) return;
      buildTable(table, message.classes);
      if (message.images) {
        makeSlots(message.images.side);
        showWrong([]);
      }
    },
    draw(view) {
      if (view.confusion && !panel.hidden) fillTable(table, view.confusion);
      if (started?.images && !panel.hidden) showWrong(view.wrong ?? []);
    },
  };
}
