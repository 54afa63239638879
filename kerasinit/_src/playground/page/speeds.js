/** How many steps a frame may stand for. */

/** The choices, from careful to fast. */
export const SPEEDS = [1, 2, 5, 10, 20, 50, 100];

// A lesson should not take longer than this many frames, some 10 seconds.
const LESSON_FRAMES = 100;

/** Return the slowest speed at which a lesson of so many steps is not too long. */
export const speedFor = (steps) =>
  SPEEDS.find((speed) => steps / speed <= LESSON_FRAMES) ?? SPEEDS.at(-1);
