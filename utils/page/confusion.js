// Confusion matrix: a cell's count under the pointer or the arrow keys, and a list of what is confused most.

function confusionMatrix({ counts: encoded, classes }) {
  const counts = decode(encoded);
  const size = classes.length;
  const at = (row, column) => counts[row * size + column];
  const total = classes.map((_, row) => classes.reduce((sum, _, column) => sum + at(row, column), 0));
  const known = classes.map((_, row) => row).filter((row) => total[row]);
  let cell = null; // [row, column]
  let frame = null; // where the cells are: {left, top, step}
  const label = "Confusion matrix, rows true, columns predicted; arrow keys move the cell";
  const canvas = stage({ label, ratio: "1", focusable: true }, (context, width) => {
    const widest = Math.max(...classes.map((name) => context.measureText(name).width));
    const margin = (width - 26) / size >= 13 ? Math.min(widest + 8, 0.28 * width) : 0; // else there is no room for names
    const left = 20 + margin;
    frame = { left, top: left, step: (width - left - 2) / size };
    drawNames(context, margin);
    drawCells(context);
    if (cell) outline(context, ...cell);
  });

  function drawNames(context, margin) {
    const { left, top, step } = frame;
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.fillStyle = colour("soft");
    context.font = `${Math.min(12, step * 0.85)}px system-ui, sans-serif`;
    for (let i = 0; margin && i < size; i += 1) {
      const marked = cell && (cell[0] === i || cell[1] === i);
      context.fillStyle = colour(marked ? "ink" : "soft");
      context.fillText(fit(context, classes[i], margin), left - 6, top + (i + 0.5) * step);
      context.save();
      context.translate(left + (i + 0.5) * step, top - 6);
      context.rotate(Math.PI / 2);
      context.fillText(fit(context, classes[i], margin), 0, 0);
      context.restore();
    }
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = colour("soft");
    context.textAlign = "center";
    context.fillText("predicted", left + (size * step) / 2, 8);
    context.save();
    context.translate(8, top + (size * step) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("true", 0, 0);
    context.restore();
  }

  function fit(context, name, room) {
    let text = name;
    while (text.length > 1 && context.measureText(text).width > room - 6) text = text.slice(0, -1);
    return text === name ? name : `${text.slice(0, -1)}…`;
  }

  function drawCells(context) {
    const { left, top, step } = frame;
    const [paper, full, ink] = [colour("panel"), colour("c0"), colour("ink")];
    context.font = `${Math.min(12, step * 0.5)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = colour("faint");
    context.fillRect(left, top, size * step, size * step);
    for (const row of known) {
      for (let column = 0; column < size; column += 1) {
        if (!at(row, column)) continue;
        const share = at(row, column) / total[row];
        const [x, y, gap] = [left + column * step, top + row * step, step > 8 ? 1 : 0];
        context.globalAlpha = 0.15 + 0.85 * share;
        context.fillStyle = full;
        context.fillRect(x, y, step - gap, step - gap);
        context.globalAlpha = 1;
        context.fillStyle = share > 0.5 ? paper : ink;
        if (step >= 20) context.fillText(String(at(row, column)), x + step / 2, y + step / 2);
      }
    }
  }

  function outline(context, row, column) {
    const { left, top, step } = frame;
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.strokeRect(left + column * step - 1, top + row * step - 1, step + 1, step + 1);
  }

  function describe([row, column]) {
    const count = `${at(row, column)} of ${total[row]}`;
    const share = total[row] ? ` (${percent(at(row, column) / total[row])} %)` : "";
    return [`true ${classes[row]}`, `predicted ${classes[column]}`, count + share];
  }

  const readout = el("p", { class: "readout", "aria-live": "polite", text: "Point at a cell, or move with the arrow keys." });
  function select(next) {
    if (String(next) === String(cell)) return;
    cell = next;
    if (cell) readout.textContent = describe(cell).join(", ");
    canvas.redraw();
  }

  function point(event) {
    if (!frame) return;
    const [x, y] = place(event);
    const [column, row] = [Math.floor((x - frame.left) / frame.step), Math.floor((y - frame.top) / frame.step)];
    const inside = row >= 0 && column >= 0 && row < size && column < size;
    if (inside) select([row, column]);
    showTip(event, inside ? describe([row, column]) : null);
  }
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", (event) => showTip(event, null));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    select((cell ?? [0, 0]).map((value, axis) => Math.min(size - 1, Math.max(0, value + (cell ? move[axis] : 0)))));
  });
  return [el("div", { class: "matrix" }, el("figure", { class: "panel" }, canvas, readout), summary())];

  function summary() {
    const sum = total.reduce((a, b) => a + b, 0);
    const right = classes.reduce((count, _, i) => count + at(i, i), 0);
    const byClass = known.reduce((mean, row) => mean + at(row, row) / total[row] / known.length, 0);
    const pairs = known
      .flatMap((row) => classes.map((_, column) => [row, column]))
      .filter(([row, column]) => row !== column && at(row, column))
      .sort((a, b) => at(...b) - at(...a))
      .slice(0, 8);
    const names = pairs.map(([row, column]) => `${classes[row]} → ${classes[column]}: ${at(row, column)}`);
    const list = chooser(names, (index) => select(index === null ? null : pairs[index]));
    list.element.setAttribute("aria-label", "Most frequent confusions");
    list.element.classList.add("column");
    return el("div", { class: "aside" },
      el("p", {}, el("b", { class: "big", text: percent(right / sum) }), ` % of ${sum} right`),
      el("p", {}, el("b", { class: "big", text: percent(byClass) }), " % as the mean over classes"),
      el("h4", { text: pairs.length ? "Confused most: true → predicted" : "Nothing is confused." }),
      list.element);
  }
}
