// Semantic segmentation of rooms: true and predicted classes side by side, on clouds that turn together and are cut open.

function roomClouds({ classes, colours, rooms }) {
  const turn = { azimuth: 0.6, elevation: 0.85 };
  const none = classes.length - 1; // points without a class
  let [room, shown] = [null, { xyz: [], label: [], predicted: [], rgb: [] }];

  const paints = {
    "true classes": (i) => colours[shown.label[i]],
    "predicted classes": (i) => colours[shown.predicted[i]],
    scan: (i) => `rgb(${shown.rgb[3 * i]} ${shown.rgb[3 * i + 1]} ${shown.rgb[3 * i + 2]})`,
  };
  let left = "true classes";
  function view(name) {
    const canvas = stage({ label: `${name}; drag or use the arrow keys to turn`, ratio: "1.15", focusable: true }, (context, width, height) =>
      drawCloud(context, width, height, shown.xyz, paints[name ?? left], turn));
    turnable(canvas, turn, redraw);
    return canvas;
  }
  const canvases = [view(null), view("predicted classes")];
  canvases[0].setAttribute("aria-label", "true classes or scan; drag or use the arrow keys to turn");
  function redraw() {
    for (const canvas of canvases) canvas.redraw();
  }

  const cut = el("input", { type: "range", min: "10", max: "100", value: "75", "aria-label": "Cut, percent of the height", input: () => cutOpen() });
  function cutOpen() {
    const heights = room.xyz.filter((_, i) => i % 3 === 1);
    const low = heights.reduce((a, b) => Math.min(a, b));
    const top = low + (cut.value / 100) * (heights.reduce((a, b) => Math.max(a, b)) - low);
    const rows = [...heights.keys()].filter((i) => heights[i] <= top);
    const triples = (values) => rows.flatMap((i) => [values[3 * i], values[3 * i + 1], values[3 * i + 2]]);
    shown = { xyz: triples(room.xyz), rgb: triples(room.rgb), label: rows.map((i) => room.label[i]), predicted: rows.map((i) => room.predicted[i]) };
    redraw();
  }

  const legend = el("div", { class: "legend keys" });
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  function key(number) {
    const square = el("i", { class: "square" });
    square.style.backgroundColor = colours[number];
    return el("span", {}, square, classes[number]);
  }
  function show(index) {
    const source = rooms[index];
    room = Object.fromEntries(["xyz", "rgb", "label", "predicted"].map((name) => [name, decode(source[name])]));
    const [known, right] = room.label.reduce(([n, r], label, i) => label === none ? [n, r] : [n + 1, r + (label === room.predicted[i])], [0, 0]);
    legend.replaceChildren(...[...new Set([...room.label, ...room.predicted])].sort((a, b) => a - b).map(key));
    readout.textContent = `${source.name}: ${known ? percent(right / known) : "–"} % of ${short(known)} points right`;
    cutOpen();
  }
  const names = chooser(rooms.map((source) => source.name), show, { always: true });
  const kinds = chooser(["true classes", "scan"], (index) => {
    left = ["true classes", "scan"][index];
    canvases[0].redraw();
  }, { always: true });
  kinds.press(0);
  names.press(0);
  const figures = [el("figure", { class: "panel" }, kinds.element, canvases[0]), el("figure", { class: "panel" }, el("figcaption", { text: "predicted classes" }), canvases[1])];
  return [names.element, el("div", { class: "panels pair" }, ...figures), el("label", { class: "note" }, "Cut at ", cut), legend, readout];
}
