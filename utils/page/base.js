// What every section uses: elements, colours, canvases that redraw themselves, the tip. All scripts share one scope.

const CLASS_COLOURS = 8; // --c0 ... --c7 of the style sheet: Okabe and Ito's, told apart with any colour vision
const redraws = new Set(); // of all canvases, for when the colour scheme changes

/** Create an element; properties that are functions become listeners, `text` its text, all others attributes. */
function el(tag, properties = {}, ...children) {
  const svg = ["svg", "circle", "line", "path"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "text") element.textContent = value;
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return the current value of a style-sheet colour; an invisible element resolves light-dark(). */
function colour(name) {
  const probe = (colour.probe ??= document.body.appendChild(el("i", { hidden: true })));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const runColour = (number) => `c${number % CLASS_COLOURS}`;

const ARRAYS = { f4: Float32Array, i2: Int16Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

/** Decode the typed array that Python's `encode` wrote. */
function decode({ dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new ARRAYS[dtype](bytes.buffer);
}

const percent = (share, digits = 1) => (share === null ? "–" : (100 * share).toFixed(digits));

/** Format a number as short as its size allows: 3.1107, 0.00097, 1,495. */
function short(value) {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/**
 * A canvas as wide as its box that calls draw(context, width, height), in CSS pixels, whenever it must.
 * Returns the canvas with a method `redraw`.
 */
function stage({ label, ratio, focusable = false }, draw) {
  const canvas = el("canvas", { role: focusable ? "application" : "img", "aria-label": label });
  if (focusable) canvas.tabIndex = 0;
  canvas.style.aspectRatio = ratio;
  let waiting = false;
  canvas.redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const { clientWidth: width, clientHeight: height } = canvas;
      if (!width || !height) return; // in a closed <details>
      const scale = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      const context = canvas.getContext("2d");
      context.scale(scale, scale);
      context.font = "12px system-ui, sans-serif";
      draw(context, width, height);
    });
  };
  new ResizeObserver(canvas.redraw).observe(canvas);
  redraws.add(canvas.redraw);
  return canvas;
}

/** Show lines of text beside the pointer, or hide them when there are none. */
function showTip(event, lines) {
  const tip = document.getElementById("tip");
  tip.hidden = !lines;
  if (!lines) return;
  tip.replaceChildren(...lines.map((line) => el("div", { text: line })));
  const { innerWidth, innerHeight } = window;
  const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.min(event.clientY + 12, innerHeight - tip.offsetHeight - 4)}px`;
}

/** Return where an event happened, in CSS pixels of its canvas. */
function place(event) {
  const box = event.currentTarget.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** Choose a class's colour and marker: distinct for the first 72, neighbours in the list differ in both. */
function classStyle(number) {
  const turn = Math.floor(number / CLASS_COLOURS);
  const hue = number % CLASS_COLOURS;
  return { colour: `c${hue}`, marker: (hue + 2 * turn) % MARKERS.length };
}

const polygon = (...corners) => (context, x, y, r) => {
  corners.forEach(([u, v], i) => context[i ? "lineTo" : "moveTo"](x + u * r, y + v * r));
  context.closePath();
};
const MARKERS = [
  (context, x, y, r) => context.arc(x, y, 0.9 * r, 0, 7),
  polygon([-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]),
  polygon([-1, -0.4], [-0.4, -1], [0, -0.5], [0.4, -1], [1, -0.4], [0.5, 0], [1, 0.4], [0.4, 1], [0, 0.5], [-0.4, 1], [-1, 0.4], [-0.5, 0]),
  polygon([0, -1], [1, 0.8], [-1, 0.8]),
  polygon([0, -1.1], [0.9, 0], [0, 1.1], [-0.9, 0]),
  polygon([0, 1], [1, -0.8], [-1, -0.8]),
  polygon([-0.4, -1], [0.4, -1], [0.4, -0.4], [1, -0.4], [1, 0.4], [0.4, 0.4], [0.4, 1], [-0.4, 1], [-0.4, 0.4], [-1, 0.4], [-1, -0.4], [-0.4, -0.4]),
  polygon([0, -1.2], [0.3, -0.4], [1.1, -0.4], [0.5, 0.15], [0.7, 1], [0, 0.5], [-0.7, 1], [-0.5, 0.15], [-1.1, -0.4], [-0.3, -0.4]),
  polygon([-1, 0], [0.8, -1], [0.8, 1]),
];

/** Draw a class's marker or, without one, a colour, for legends. */
function swatch(hue, marker = 0) {
  const canvas = stage({ label: "", ratio: "1" }, (context, width) => {
    context.beginPath();
    MARKERS[marker](context, width / 2, width / 2, width / 2.6);
    context.fillStyle = colour(hue);
    context.fill();
  });
  canvas.setAttribute("aria-hidden", "true");
  canvas.classList.add("swatch");
  return canvas;
}

/** Make buttons of which at most one is pressed (with `always`, exactly one); calls `chosen(index or null)`. */
function chooser(labels, chosen, { always = false, pictures = [] } = {}) {
  const buttons = labels.map((label, index) =>
    el("button", { type: "button", "aria-pressed": "false", click: () => press(index) }, pictures[index] ?? "", label),
  );
  let current = null;
  function press(index) {
    current = !always && index === current ? null : index;
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === current)));
    chosen(current);
  }
  return { element: el("div", { class: "chooser", role: "group" }, ...buttons), press, buttons };
}
