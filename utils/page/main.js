// The page: its sections in order, the navigation, the colour scheme, the ornament in the masthead.

const page = JSON.parse(document.getElementById("data").textContent);

function addSection(id, title, children) {
  document.getElementById("main").append(el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title`, text: title }), ...children.filter(Boolean)));
  document.getElementById("nav").append(el("a", { href: `#${id}`, text: title }));
}

/** Make a section with one block for each run that has the content, named if the page shows several runs. */
function addBlocks(id, title, lead, items, build) {
  if (!items.length) return;
  const block = ({ run, content }) =>
    el("div", { class: "block" }, page.runs.length > 1 ? el("h3", {}, swatch(runColour(run), run % MARKERS.length), page.runs[run].name) : null, ...build(content, run).filter(Boolean));
  addSection(id, title, [el("p", { class: "lead", text: lead }), ...items.map(block)]);
}

for (const { run, content } of page.curves) {
  page.runs[run].epochs = String(content.epoch.length);
  const hours = content.series.hours?.findLast((value) => value !== null);
  page.runs[run].hours = hours ? hours.toFixed(2) : "";
}
addSection("runs", page.runs.length > 1 ? "Runs" : "Run", runsSection(page.runs));
if (page.results.tasks.length) addSection("results", "Results", resultsSection(page.results, page.runs));
if (page.curves.length) addSection("curves", "Curves", curvesSection(page.curves, page.runs));
addBlocks("tsne", "Feature map", "t-SNE of the test features: each mark is a cloud. Point at one for its class; choose a class to bring it to the front.", page.tsne, tsneMaps);
addBlocks("confusion", "Confusion matrix", "Each row is a true class, each column what was predicted; the stronger the colour, the larger the share of the row.", page.confusion, confusionMatrix);
addBlocks("parts", "Part segmentation", "Drag either cloud, or use the arrow keys: both turn together.", page.parts, partClouds);
addBlocks("pixels", "Pixels and points", "What the contrast of pixels and points has learned: within a shape, equal colours are equal features, of points as of pixels. Drag the cloud, or use the arrow keys, to turn it.", page.pixels, pixelPoints);
addBlocks("rooms", "Rooms", "True and predicted classes of rooms that were tested on. Drag either cloud, or use the arrow keys: both turn together. What lies above the cut is left out, so that one sees into the room.", page.rooms, roomClouds);
addBlocks("sheet", "Retrieval", "Queries and what they found.", page.sheet, (source, run) => [
  el("div", { class: "scroll" }, el("img", { src: source, alt: `Retrieval contact sheet of ${page.runs[run].name}` })),
]);

const schemes = ["auto", "light", "dark"];
const scheme = el("button", { type: "button", class: "scheme", text: "colours: auto" });
scheme.addEventListener("click", () => {
  const next = schemes[(schemes.indexOf(document.documentElement.dataset.scheme ?? "auto") + 1) % schemes.length];
  document.documentElement.dataset.scheme = next;
  scheme.textContent = `colours: ${next}`;
  redraws.forEach((redraw) => redraw());
});
document.getElementById("nav").append(scheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((redraw) => redraw()));

drawOrnament(document.getElementById("ornament"));

/** Draw a ring of dots that turns when dragged. */
function drawOrnament(place) {
  const count = 900;
  const xyz = new Int16Array(3 * count);
  const part = new Uint8Array(count);
  for (let i = 0; i < count; i += 1) {
    const [along, around] = [2.399963 * i, (6.2832 * i) / count * 13]; // golden angle: dots that never line up
    const reach = 0.7 + 0.29 * Math.cos(around);
    xyz.set([reach * Math.cos(along), 0.29 * Math.sin(around), reach * Math.sin(along)].map((value) => 32767 * value), 3 * i);
    part[i] = Math.floor((((along % 6.2832) + 6.2832) % 6.2832) / 1.0472) % 6;
  }
  const hue = ["c0", "c5", "c2", "c1", "c4", "c3"];
  const turn = { azimuth: 0.5, elevation: 0.75 };
  const canvas = stage({ label: "", ratio: "1" }, (context, width, height) => {
    const colours = hue.map(colour);
    drawCloud(context, width, height, xyz, (i) => colours[part[i]], turn);
  });
  canvas.id = place.id;
  canvas.setAttribute("aria-hidden", "true");
  turnable(canvas, turn, canvas.redraw);
  place.replaceWith(canvas);
}
