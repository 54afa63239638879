/** The session of the server: messages over a WebSocket. */

/** Open a session; return `{send, close}`. `on.message(m)`, `on.open()` and `on.close()` follow. */
export function connect(on) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/session${location.search}`);
  // What is sent before the socket is open waits for it.
  let waiting = [];
  socket.addEventListener("open", () => {
    for (const text of waiting) socket.send(text);
    waiting = [];
    on.open?.();
  });
  socket.addEventListener("message", ({ data }) => on.message(JSON.parse(data)));
  socket.addEventListener("close", () => on.close());
  return {
    send(command) {
      const text = JSON.stringify(command);
      if (socket.readyState === WebSocket.CONNECTING) waiting.push(text);
      else if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => socket.close(),
  };
}
