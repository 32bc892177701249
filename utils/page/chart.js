// A line chart over epochs: lines of several runs, a crosshair that all charts of a group share.

/** Return about `count` round steps from low to high. */
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

/** Return a scale from [low, high] to [from, to] pixels. */
const scale = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

/** Return the range of the lines' y values, slightly widened. */
function range(lines) {
  const values = lines.flatMap((line) => line.y.filter((value) => value !== null));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.06 * (high - low) || Math.abs(high) * 0.1 || 1;
  return [low >= 0 && low < 0.3 * high ? 0 : low - margin, high + margin];
}

/**
 * One panel. `lines`: {x, y, hue, marker, name, visible}; `shared.epoch` is where the crosshair stands, or null;
 * `shared.move(epoch)` sets it in the whole group. `asText` writes a value.
 */
function lineChart(title, lines, shared, asText) {
  const frame = { left: 46, right: 10, top: 10, bottom: 24 };
  const last = Math.max(...lines.flatMap((line) => line.x));
  const first = Math.min(...lines.flatMap((line) => line.x));
  let toX = null;
  const label = `${title} over the epochs; arrow keys move the crosshair`;
  const canvas = stage({ label, ratio: "1.7", focusable: true }, (context, width, height) => {
    const shown = lines.filter((line) => line.visible);
    toX = scale(first, Math.max(last, first + 1), frame.left, width - frame.right);
    if (!shown.length) return;
    const [low, high] = range(shown);
    const toY = scale(low, high, height - frame.bottom, frame.top);
    drawAxes(context, width, height, toX, toY, [first, last], [low, high]);
    if (shared.epoch !== null) drawCrosshair(context, toX(shared.epoch), frame.top, height - frame.bottom);
    for (const line of shown) drawLine(context, line, toX, toY, shared.epoch);
  });

  function drawAxes(context, width, height, x, y, [from, to], [low, high]) {
    context.fillStyle = colour("soft");
    context.strokeStyle = colour("rule");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks(low, high, 4)) {
      context.fillText(asText(value), frame.left - 6, y(value));
      context.beginPath();
      context.moveTo(frame.left, y(value));
      context.lineTo(width - frame.right, y(value));
      context.stroke();
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const value of ticks(from, to, 6).filter(Number.isInteger)) context.fillText(String(value), x(value), height - 16);
  }

  function nearest(pixel) {
    const epochs = lines.filter((line) => line.visible).flatMap((line) => line.x);
    return epochs.reduce((best, epoch) => (Math.abs(toX(epoch) - pixel) < Math.abs(toX(best) - pixel) ? epoch : best), epochs[0]);
  }

  function values(epoch) {
    const at = (line) => line.y[line.x.indexOf(epoch)] ?? null;
    return lines.filter((line) => line.visible && at(line) !== null).map((line) => `${line.name}  ${asText(at(line), true)}`);
  }

  const readout = el("p", { class: "readout", "aria-live": "polite" });
  function say() {
    const shown = lines.filter((line) => line.visible);
    const end = shown.map((line) => asText(line.y.findLast((value) => value !== null), true)).join(" / ");
    const here = shared.epoch === null ? [] : values(shared.epoch);
    readout.textContent = shared.epoch === null ? `at the end: ${end || "–"}` : `epoch ${shared.epoch}: ${here.join(", ") || "–"}`;
  }
  canvas.addEventListener("pointermove", (event) => toX && shared.move(nearest(place(event)[0]) ?? null));
  canvas.addEventListener("pointerleave", () => shared.move(null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    shared.move(Math.min(last, Math.max(first, (shared.epoch ?? (step > 0 ? first - 1 : last + 1)) + step)));
  });
  const update = () => {
    canvas.redraw();
    say();
  };
  shared.charts.push(update);
  say();
  return el("figure", { class: "panel" }, el("figcaption", { text: title }), canvas, readout);
}

function drawCrosshair(context, x, top, bottom) {
  context.strokeStyle = colour("soft");
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x, top);
  context.lineTo(x, bottom);
  context.stroke();
  context.setLineDash([]);
}

function drawLine(context, line, toX, toY, epoch) {
  const points = line.x.map((x, i) => [x, line.y[i]]).filter(([, y]) => y !== null);
  context.strokeStyle = context.fillStyle = colour(line.hue);
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](toX(x), toY(y)));
  context.stroke();
  const marked = points.length <= 30 ? points : points.filter(([x]) => x === epoch);
  for (const [x, y] of marked) {
    context.beginPath();
    MARKERS[line.marker](context, toX(x), toY(y), x === epoch ? 5 : 3);
    context.fill();
  }
  context.lineWidth = 1;
}

/** What the charts of a group share: the crosshair's epoch, and how to move it and redraw all. */
function chartGroup() {
  const shared = { epoch: null, charts: [] };
  shared.redraw = () => shared.charts.forEach((update) => update());
  shared.move = (epoch) => {
    if (epoch === shared.epoch) return;
    shared.epoch = epoch;
    shared.redraw();
  };
  return shared;
}
