/** The menu of lessons, and the lesson that is open: question, something to try, answer. */
import { byId, make, setText } from "playground/elements";
import { paragraphs, prose } from "playground/prose";

const FREE = {
  title: "Free play",
  question: "Choose an initializer for each side, then press Play.",
};

/** Return the entries of the menu: free play, then the lessons with their numbers. */
export const entriesOf = (lessons) => [
  { id: null, number: "–", title: FREE.title, testid: "free-play" },
  ...lessons.map(({ id, title }, index) => ({
    id, number: String(index + 1), title, testid: `lesson-${index + 1}`,
  })),
];

/** Build a menu of `{id, number, title, testid}`; return `{mark(id)}` for the one that is open. */
export function buildMenu(entries, onChoose) {
  const menu = byId("lessons");
  const buttons = entries.map(({ id, number, title, testid }) => {
    const button = make("button", { type: "button", "data-testid": testid },
      make("span", { className: "number-of", textContent: number }),
      make("span", { className: "title-of" }, ...prose(title)));
    button.addEventListener("click", () => onChoose(id));
    return { id, button };
  });
  menu.replaceChildren(...buttons.map(({ button }) => make("li", {}, button)));
  return {
    mark(chosen) {
      for (const { id, button } of buttons) {
        if (id === chosen) {
          button.setAttribute("aria-current", "true");
          reveal(menu, button);
        } else {
          button.removeAttribute("aria-current");
        }
      }
    },
  };
}

/** Show a lesson, or free play for null; `onTried(patch, index)` follows one of its buttons. */
export function showLesson(lesson, number, onTried) {
  const { title, question } = lesson ?? FREE;
  setText(byId("lesson-title"), number ? `${number}. ${title}` : title);
  byId("question").replaceChildren(...prose(question));
  const tries = (lesson?.try ?? []).map((one, index) => tryOf(one, index, onTried));
  byId("tries").replaceChildren(...tries);
  const answer = byId("answer");
  answer.hidden = !lesson?.answer;
  answer.open = false;
  byId("answer-text").replaceChildren(...paragraphs(lesson?.answer ?? ""));
  document.documentElement.classList.toggle("with-lesson", Boolean(lesson));
}

function tryOf({ text, settings }, index, onTried) {
  const id = `try-${index + 1}`;
  const words = make("p", { id: `${id}-text` }, ...prose(text));
  if (!settings) return make("li", { "data-testid": id }, words);
  const button = make("button", {
    type: "button", className: "small", textContent: "Try it", "data-testid": id,
    "aria-describedby": words.id,
  });
  button.addEventListener("click", () => onTried(settings, index));
  return make("li", {}, words, button);
}

/** Scroll the menu, and only the menu, to its open entry. */
function reveal(menu, button) {
  const [inner, outer] = [button.getBoundingClientRect(), menu.getBoundingClientRect()];
  if (inner.left < outer.left || inner.right > outer.right) {
    menu.scrollLeft += inner.left - outer.left - 8;
  }
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    menu.scrollTop += inner.top - outer.top - 8;
  }
}
