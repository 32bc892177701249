// Pixels and points of a shape in the colours of one projection of their features: a cloud to turn, and pictures of views.

function pixelPoints(shapes) {
  const turn = { azimuth: 0.6, elevation: 0.35 };
  let [xyz, rgb] = [[], []];
  const paint = (i) => `rgb(${rgb[3 * i]} ${rgb[3 * i + 1]} ${rgb[3 * i + 2]})`;
  const canvas = stage({ label: "points; drag or use the arrow keys to turn", ratio: "1", focusable: true }, (context, width, height) =>
    drawCloud(context, width, height, xyz, paint, turn));
  turnable(canvas, turn, canvas.redraw);
  const views = el("figure", { class: "panel views" });
  const readout = el("p", { class: "readout", "aria-live": "polite" });

  function show(index) {
    const shape = shapes[index];
    [xyz, rgb] = [decode(shape.xyz), decode(shape.rgb)];
    canvas.redraw();
    const heads = ["view", "points in it", "its pixels"].map((text) => el("figcaption", { text }));
    const pictures = shape.views.flatMap((row, view) => row.map((source, i) =>
      el("img", { src: source, alt: `${["view", "points in view", "pixels of view"][i]} ${view + 1} of ${shape.name}` })));
    views.replaceChildren(...heads, ...pictures);
    readout.textContent = `${shape.name}: ${percent(shape.found)} % of pixels find their own point or one near it, by chance ${percent(shape.chance)} %`;
  }
  const names = chooser(shapes.map((shape) => shape.name), show, { always: true });
  names.press(0);
  return [names.element, el("div", { class: "pixels" }, el("figure", { class: "panel" }, el("figcaption", { text: "cloud" }), canvas), views), readout];
}
