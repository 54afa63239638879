/** Sentences with code in them, marked by `backticks` as in Markdown. */
import { make } from "playground/elements";

/** Return the nodes of a sentence: text, and code elements for what stands in backticks. */
export const prose = (text) =>
  text.split("`").map((part, place) =>
    place % 2 === 1 ? make("code", { textContent: part }) : document.createTextNode(part));

/** Return a paragraph element for each paragraph of a text, which are apart by an empty line. */
export const paragraphs = (text) =>
  text.trim().split(/\n\s*\n/).map((one) => make("p", {}, ...prose(one)));
