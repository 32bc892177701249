// Tables of results: random beside pre-trained, and where each figure lies between 0 and 100 %.

function resultsSection({ columns, tasks }, runs) {
  const note =
    "In percent. ± is the sample standard deviation over seeds of the weights (of pre-training); † over seeds of evaluation " +
    "of one encoder; ‡ over few-shot episodes. The small figure is the gain over random weights.";
  return [
    el("p", { class: "lead", text: note }),
    el("div", { class: "tasks" }, ...tasks.map((task) => taskCard(task, columns, runs))),
  ];
}

/** Build the table of one task, with the IoU of each category folded away. */
function taskCard({ title, rows }, columns, runs) {
  const used = columns.map((_, i) => i).filter((i) => rows.some((row) => row.figures.some(({ cells }) => cells[i])));
  const random = columns.indexOf("random");
  const runOf = (i) => runs.findIndex((run) => i !== random && run.name === columns[i]);
  const isOnly = used.filter((i) => i !== random).length === 1 && used.includes(random) && runs.length === 1;

  function cell(value, base, i) {
    if (!value) return el("td", { class: "none", text: "–" });
    const spread = value.spread === null ? "" : el("span", { class: "spread", text: ` ± ${percent(value.spread)}${value.mark}`, title: value.source });
    const gain = base && i !== random ? 100 * (value.mean - base.mean) : null;
    const signed = gain === null ? "" : el("span", { class: "gain", text: `${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(1)}` });
    return el("td", {}, el("b", { text: percent(value.mean) }), spread, signed);
  }

  function ruler(cells, chance) {
    const x = (share) => 6 + 148 * share;
    const svg = el("svg", { class: "ruler", viewBox: "0 0 160 18", "aria-hidden": "true" });
    const across = (kind, from, to) => svg.append(el("line", { class: kind, x1: x(from), x2: x(to), y1: 9, y2: 9 }));
    const means = used.filter((i) => cells[i]).map((i) => cells[i].mean);
    across("track", 0, 1);
    if (chance !== null) svg.append(el("line", { class: "chance", x1: x(chance), x2: x(chance), y1: 3, y2: 15 }));
    if (means.length > 1) across("reach", Math.min(...means), Math.max(...means));
    for (const i of used.filter((column) => cells[column])) {
      const dot = el("circle", { cx: x(cells[i].mean), cy: 9, r: 4.5, class: i === random ? "open" : "full" });
      if (i !== random) dot.style.fill = `var(--${runColour(runOf(i))})`;
      svg.append(dot);
    }
    return el("td", { class: "picture" }, svg);
  }

  function line(name, cells, chance) {
    return el("tr", {}, el("th", { scope: "row", text: name }), ...used.map((i) => cell(cells[i], cells[random], i)), ruler(cells, chance));
  }

  function heading(i) {
    const picture = i === random ? "" : swatch(runColour(runOf(i)), runOf(i) % MARKERS.length);
    return el("th", { scope: "col" }, picture, isOnly && i !== random ? "pre-trained" : columns[i]);
  }
  const head = () => el("thead", {}, el("tr", {}, el("td"), ...used.map(heading), el("td", { class: "picture", text: "0 – 100 %" })));

  function setting(row) {
    const detail = row.detail + (row.chance === null ? "" : ` · chance ${percent(row.chance, 2)} %`);
    const name = el("th", { colspan: used.length + 2, scope: "rowgroup" }, row.title, el("small", { text: detail }));
    return el("tbody", {}, el("tr", { class: "setting" }, name), ...row.figures.map(({ name, cells }) => line(name, cells, row.chance)));
  }

  function categories(row) {
    const names = Object.keys(row.categories);
    if (!names.length) return "";
    const asCells = (values) => values.map((mean) => (mean === null ? null : { mean, spread: null, mark: "" }));
    const lines = names.map((name) => line(name, asCells(row.categories[name]), null));
    const summary = `IoU of each category: ${row.title}, ${row.detail.split(" · ")[0]}`;
    return el("details", {}, el("summary", { text: summary }),
      el("div", { class: "scroll" }, el("table", {}, head(), el("tbody", {}, ...lines))));
  }

  return el("article", { class: used.length > 2 ? "panel several" : "panel" }, el("h3", { text: title }),
    el("div", { class: "scroll" }, el("table", {}, head(), ...rows.map(setting))), ...rows.map(categories));
}

/** Show where every run and every figure comes from. */
function runsSection(runs) {
  const fact = (name, value) => (value ? el("div", {}, el("dt", { text: name }), el("dd", { text: value })) : null);
  const card = (run, number) =>
    el("article", { class: "run" },
      el("h3", {}, swatch(runColour(number), number % MARKERS.length), run.name),
      run.command ? el("pre", {}, el("code", { text: run.command })) : el("p", { class: "note", text: "No config.json: how it was trained is not recorded." }),
      el("dl", {}, fact("commit", run.commit), fact("machine", run.machine), fact("Python", run.python), fact("torch", run.torch),
        fact("sessions", run.sessions > 1 ? String(run.sessions) : ""), fact("epochs", run.epochs), fact("hours", run.hours)),
      run.reports.length
        ? el("details", {}, el("summary", { text: `${run.reports.length} result file${run.reports.length > 1 ? "s" : ""}` }),
            ...run.reports.map((report) => el("div", { class: "origin" }, el("b", { text: report.file }), ` ${report.commit} · ${report.machine}`, el("pre", {}, el("code", { text: report.command })))))
        : null);
  return [el("div", { class: "runs" }, ...runs.map(card))];
}
