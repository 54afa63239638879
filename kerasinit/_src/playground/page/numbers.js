/** Numbers as text. */

/** Return a number in a few characters: 0.0312, 12.5, 3.1e-7; a dash for what is not finite. */
export function brief(number, digits = 3) {
  if (number === null || number === undefined || !Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    return number.toExponential(Math.max(0, digits - 2)).replace("e+", "e");
  }
  if (Number.isInteger(number)) return String(number);
  return size >= 10 ** digits ? String(Math.round(number)) : number.toPrecision(digits);
}

/** Return a fraction as a whole percentage. */
export const percent = (fraction) =>
  Number.isFinite(fraction) && fraction !== null ? `${Math.round(100 * fraction)}%` : "–";

/** Return a number rounded to a few significant digits, without trailing zeros. */
export const rounded = (number, digits = 3) => Number(number.toPrecision(digits));
