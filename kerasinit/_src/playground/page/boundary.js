/** What a network answers over the plane, and the examples it learns from. */
import { bytesOf } from "playground/base64";
import { byId, make, onResize, setText, sharpContext } from "playground/elements";
import { classColour, colour, onThemeChange } from "playground/theme";

const FAINTEST = 0.12;
const STRONGEST = 0.62;
const RADIUS = 3;

// Classes differ in shape, too, for those who cannot tell the colours apart.
const SHAPES = [
  (path, x, y, r) => path.arc(x, y, r, 0, 2 * Math.PI),
  (path, x, y, r) => path.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76),
  (path, x, y, r) => polygon(path, x, y, r * 1.3, 3),
  (path, x, y, r) => polygon(path, x, y, r * 1.25, 4),
];

function polygon(path, x, y, radius, corners) {
  for (let corner = 0; corner < corners; corner += 1) {
    const angle = (2 * Math.PI * corner) / corners - Math.PI / 2;
    path.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  path.closePath();
}

/** Draw the mark of a class, filled for training examples and hollow for test examples. */
function drawMark(context, index, x, y, { hollow, radius = RADIUS }) {
  context.beginPath();
  SHAPES[index % SHAPES.length](context, x, y, radius);
  if (hollow) {
    context.strokeStyle = classColour(index);
    context.lineWidth = 1.4;
  } else {
    context.fillStyle = classColour(index);
    context.fill();
    context.strokeStyle = colour("--paper");
    context.lineWidth = 0.8;
  }
  context.stroke();
}

function channels(text) {
  const value = parseInt(text.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** Return an image of a grid, one pixel for each place: the class' colour, stronger if surer. */
function groundOf({ size, best, confidence }) {
  const classes = bytesOf(best);
  const certain = bytesOf(confidence);
  const image = new ImageData(size, size);
  const palette = new Map();
  for (let place = 0; place < classes.length; place += 1) {
    const index = classes[place];
    if (!palette.has(index)) palette.set(index, channels(classColour(index)));
    image.data.set(palette.get(index), 4 * place);
    const strength = FAINTEST + ((STRONGEST - FAINTEST) * certain[place]) / 255;
    image.data[4 * place + 3] = Math.round(255 * strength);
  }
  const canvas = make("canvas", { width: size, height: size });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Build a side's picture of the plane; return `{begin(started), draw(view, started)}`. */
export function buildBoundary(side) {
  const figure = byId(`${side}-boundary`);
  const square = figure.querySelector(".square");
  const [ground, marks] = figure.querySelectorAll("canvas");
  const diverged = square.querySelector(".diverged");
  let started = null;
  let grid = null;

  function drawGround() {
    const { clientWidth: width, clientHeight: height } = square;
    const context = sharpContext(ground, width, height);
    if (!grid) return;
    context.imageSmoothingQuality = "high";
    context.drawImage(groundOf(grid), 0, 0, width, height);
  }

  function drawPoints() {
    const { clientWidth: width, clientHeight: height } = square;
    const context = sharpContext(marks, width, height);
    if (!started?.points) return;
    const [left, right, bottom, top] = started.bounds;
    const { x, y, x_test: xTest, y_test: yTest } = started.points;
    const radius = Math.max(2, Math.min(4, width / 110));
    const drawAll = (places, classes, hollow) =>
      places.forEach(([a, b], i) => {
        const across = (width * (a - left)) / (right - left);
        const down = (height * (top - b)) / (top - bottom);
        drawMark(context, classes[i], across, down, { hollow, radius });
      });
    drawAll(xTest, yTest, true);
    drawAll(x, y, false);
  }

  function drawAll() {
    drawGround();
    drawPoints();
  }
  onResize(square, drawAll);
  onThemeChange(() => {
    drawAll();
    if (started) showClasses(figure.querySelector(".classes"), started.classes);
  });

  return {
    begin(message) {
      started = message;
      grid = null;
      diverged.hidden = true;
      figure.hidden = !message.points;
      if (!message.points) return;
      showClasses(figure.querySelector(".classes"), message.classes);
      drawAll();
    },
    draw(view) {
      if (!started?.points) return;
      grid = view.grid;
      drawGround();
      diverged.hidden = view.diverged === null;
      setText(diverged, `The numbers are no longer finite: it diverged at step ${view.diverged}.`);
      const answer = grid ? shares(grid, started.classes) : "nothing: not finite";
      square.setAttribute("aria-label", `Decision boundary, ${side}. Answers ${answer}.`);
    },
  };
}

/** Return in words how much of the plane each class takes. */
function shares({ best }, classes) {
  const bytes = bytesOf(best);
  return classes
    .map((name, index) => {
      const part = bytes.reduce((sum, one) => sum + (one === index), 0) / bytes.length;
      return `${name} in ${Math.round(100 * part)}%`;
    })
    .join(", ");
}

function showClasses(place, names) {
  place.replaceChildren(
    ...names.map((name, index) => {
      const canvas = make("canvas", { className: "mark" });
      const context = sharpContext(canvas, 14, 14);
      drawMark(context, index, 7, 7, { hollow: false, radius: 4.5 });
      const label = make("span", {});
      setText(label, name);
      return make("span", { className: "class" }, canvas, label);
    }),
  );
}
