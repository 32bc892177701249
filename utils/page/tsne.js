// Maps of features: one dot a cloud, its class under the pointer; the same cloud is ringed in all maps of a run.

function tsneMaps({ maps, label: encoded, classes }) {
  const label = decode(encoded);
  let chosen = null; // a class, or null
  let ringed = null; // a cloud, or null
  const views = Object.entries(maps).map(([title, points]) => tsneMap(title, decode(points)));
  const redraw = () => views.forEach((view) => view.canvas.redraw());

  function tsneMap(title, points) {
    const view = { points, at: new Float32Array(points.length) };
    view.canvas = stage({ label: `t-SNE map, ${title}: ${label.length} clouds of ${classes.length} classes`, ratio: "1" }, (context, width, height) => {
      locate(view, width, height);
      const inFront = (i) => chosen === null || label[i] === chosen;
      const radius = label.length > 1500 ? 3 : 4;
      context.globalAlpha = 0.12;
      label.forEach((_, i) => inFront(i) || dot(context, view, i, radius));
      context.globalAlpha = 0.85;
      label.forEach((_, i) => inFront(i) && dot(context, view, i, radius));
      context.globalAlpha = 1;
      if (ringed !== null) ring(context, view.at[2 * ringed], view.at[2 * ringed + 1]);
    });
    view.canvas.addEventListener("pointermove", (event) => point(event, view));
    view.canvas.addEventListener("pointerdown", (event) => point(event, view));
    view.canvas.addEventListener("pointerleave", (event) => point(event, null));
    view.figure = el("figure", { class: "panel" }, el("figcaption", { text: title }), view.canvas);
    return view;
  }

  function locate({ points, at }, width, height) {
    const span = [0, 1].map((axis) => {
      let [low, high] = [Infinity, -Infinity];
      for (let i = axis; i < points.length; i += 2) [low, high] = [Math.min(low, points[i]), Math.max(high, points[i])];
      return [low, high];
    });
    const size = Math.max(span[0][1] - span[0][0], span[1][1] - span[1][0]) || 1;
    const factor = (Math.min(width, height) - 24) / size;
    for (let i = 0; i < points.length; i += 1) {
      const [low, high] = span[i % 2];
      const offset = (points[i] - (low + high) / 2) * factor;
      at[i] = i % 2 ? height / 2 - offset : width / 2 + offset;
    }
  }

  function dot(context, { at }, i, radius) {
    const style = classStyle(label[i]);
    context.fillStyle = hues[style.colour] ??= colour(style.colour);
    context.beginPath();
    MARKERS[style.marker](context, at[2 * i], at[2 * i + 1], radius);
    context.fill();
  }

  let hues = {};
  redraws.add(() => (hues = {}));

  function ring(context, x, y) {
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 8, 0, 7);
    context.stroke();
  }

  function point(event, view) {
    let [best, distance] = [null, 18];
    if (view) {
      const [x, y] = place(event);
      for (let i = 0; i < label.length; i += 1) {
        if (chosen !== null && label[i] !== chosen) continue;
        const away = Math.hypot(view.at[2 * i] - x, view.at[2 * i + 1] - y);
        if (away < distance) [best, distance] = [i, away];
      }
    }
    showTip(event, best === null ? null : [classes[label[best]], `cloud ${best}`]);
    if (best === ringed) return;
    ringed = best;
    redraw();
  }

  const present = [...new Set(label)].sort((a, b) => a - b);
  const legend = chooser(
    present.map((number) => classes[number]),
    (index) => {
      chosen = index === null ? null : present[index];
      redraw();
    },
    { pictures: present.map((number) => swatch(classStyle(number).colour, classStyle(number).marker)) },
  );
  legend.element.setAttribute("aria-label", "Class to bring to the front");
  legend.element.classList.add("legend");
  return [el("div", { class: "panels" }, ...views.map((view) => view.figure)), legend.element];
}
