/** Keys for what is done often. */

// Space presses a focused button, opens a menu or types: it plays only from elsewhere.
const OWN_SPACE = "button, summary, a, input, select, textarea, [contenteditable]";
const TYPING = "input:not([type=range]):not([type=checkbox]), select, textarea, [contenteditable]";

/** Bind keys to actions, `{" ": play, s: step, ...}`; never while somebody types. */
export function bindShortcuts(actions) {
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key.toLowerCase()];
    const own = event.key === " " ? OWN_SPACE : TYPING;
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (!action || modified || event.target.closest?.(own)) return;
    event.preventDefault();
    action();
  });
}
