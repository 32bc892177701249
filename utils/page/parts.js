// Part segmentation: predicted and true parts side by side, on clouds that turn together.

function partClouds({ part_names: partNames, shapes, total }) {
  const categories = [...new Set(shapes.map((shape) => shape.category))];
  const turn = { azimuth: 0.6, elevation: 0.35 };
  let [members, index, cloud] = [[], 0, null];

  function load(shape) {
    const [label, predicted] = [decode(shape.label), decode(shape.predicted)];
    const parts = [...new Set([...label, ...predicted])].sort((a, b) => a - b);
    const hue = Object.fromEntries(parts.map((part, i) => [part, `c${i % CLASS_COLOURS}`]));
    const right = label.reduce((count, part, i) => count + (part === predicted[i]), 0) / label.length;
    return { shape, xyz: decode(shape.xyz), label, predicted, parts, hue, right };
  }

  function view(name) {
    const canvas = stage({ label: `${name} parts; drag or use the arrow keys to turn`, ratio: "1.15", focusable: true }, (context, width, height) => {
      const part = name === "true" ? cloud.label : cloud.predicted;
      const hues = Object.fromEntries(cloud.parts.map((number) => [number, colour(cloud.hue[number])]));
      drawCloud(context, width, height, cloud.xyz, (i) => hues[part[i]], turn);
    });
    turnable(canvas, turn, redraw);
    return el("figure", { class: "panel" }, el("figcaption", { text: name }), canvas);
  }

  const views = ["predicted", "true"].map(view);
  function redraw() {
    for (const figure of views) figure.querySelector("canvas").redraw();
  }

  const legend = el("div", { class: "legend keys" });
  const readout = el("p", { class: "readout", "aria-live": "polite" });
  function show() {
    cloud = load(members[index]);
    legend.replaceChildren(...cloud.parts.map((part) => el("span", {}, swatch(cloud.hue[part]), partNames[part])));
    const position = `shape ${index + 1} of ${members.length}`;
    readout.textContent = `${cloud.shape.category}, ${position}: ${percent(cloud.right)} % of ${cloud.label.length} points right`;
    redraw();
  }
  function step(by) {
    index = (index + by + members.length) % members.length;
    show();
  }

  const category = el("select", { "aria-label": "Category", change: () => choose() }, ...categories.map((name) => el("option", { value: name, text: name })));
  function choose() {
    members = shapes.filter((shape) => shape.category === category.value);
    index = 0;
    show();
  }
  choose();
  const note = shapes.length < total ? `${shapes.length} of ${total} shapes are on this page.` : "";
  return [
    el("div", { class: "chooser" }, el("label", {}, "Category ", category),
      el("button", { type: "button", text: "← previous", click: () => step(-1) }), el("button", { type: "button", text: "next →", click: () => step(1) })),
    el("div", { class: "panels pair" }, ...views), legend, readout, note ? el("p", { class: "note", text: note }) : null,
  ];
}

/** Draw points from the side the view has turned to, each in `paint(i)`; near ones are large and drawn last, far ones fade. */
function drawCloud(context, width, height, xyz, paint, turn) {
  const count = xyz.length / 3;
  const [sinA, cosA] = [Math.sin(turn.azimuth), Math.cos(turn.azimuth)];
  const [sinE, cosE] = [Math.sin(turn.elevation), Math.cos(turn.elevation)];
  const radius = Math.min(width, height) / 2 - 6;
  const [u, v, near] = [new Float32Array(count), new Float32Array(count), new Float32Array(count)];
  for (let i = 0; i < count; i += 1) {
    const [x, y, z] = [xyz[3 * i] / 32767, xyz[3 * i + 1] / 32767, xyz[3 * i + 2] / 32767];
    const depth = sinA * x + cosA * z;
    u[i] = width / 2 + radius * (cosA * x - sinA * z);
    v[i] = height / 2 - radius * (cosE * y - sinE * depth);
    near[i] = sinE * y + cosE * depth;
  }
  const order = Uint32Array.from(near.keys()).sort((a, b) => near[a] - near[b]);
  const size = Math.max(1.2, (radius / 70) * Math.sqrt(2048 / Math.max(count, 256)) * 0.85);
  for (const i of order) {
    context.globalAlpha = 0.45 + 0.275 * (near[i] + 1);
    context.fillStyle = paint(i);
    context.beginPath();
    context.arc(u[i], v[i], size * (1 + 0.3 * near[i]), 0, 7);
    context.fill();
  }
  context.globalAlpha = 1;
}

/** Turn by dragging or by the arrow keys. */
function turnable(canvas, turn, redraw) {
  const by = (azimuth, elevation) => {
    turn.azimuth += azimuth;
    turn.elevation = Math.min(1.5, Math.max(-1.5, turn.elevation + elevation));
    redraw();
  };
  canvas.classList.add("turnable");
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) by(-event.movementX / 110, event.movementY / 110);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!move) return;
    event.preventDefault();
    by(...move);
  });
}
