// Curves of metrics.jsonl: a panel for each figure, all runs in it.

function curvesSection(curves, runs) {
  const names = [...new Set(curves.flatMap(({ content }) => Object.keys(content.series)))];
  const isLoss = (name) => name.startsWith("loss/");
  const isScore = (name) => name.includes("/") && !isLoss(name);
  const shared = chartGroup();
  const hidden = new Set();
  const lines = [];

  function panel(name) {
    const inPanel = curves
      .filter(({ content }) => content.series[name]?.some((value) => value !== null))
      .map(({ run, content }) => ({
        run,
        x: content.epoch,
        y: content.series[name],
        hue: runColour(run),
        marker: run % MARKERS.length,
        name: curves.length > 1 ? runs[run].name : name.split("/").pop(),
        visible: true,
      }));
    if (!inPanel.length) return null;
    lines.push(...inPanel);
    const asText = isScore(name) ? (value, full) => percent(value) + (full ? " %" : "") : short;
    return lineChart(name.replace("/", " · ").replaceAll("_", " "), inPanel, shared, asText);
  }

  const main = names.filter((name) => isLoss(name) || isScore(name)).map(panel);
  const rest = names.filter((name) => !name.includes("/")).map(panel);
  const toggles = curves.map(({ run }) => {
    const button = el("button", { type: "button", "aria-pressed": "true" }, swatch(runColour(run), run % MARKERS.length), runs[run].name);
    button.addEventListener("click", () => {
      hidden[hidden.has(run) ? "delete" : "add"](run);
      button.setAttribute("aria-pressed", String(!hidden.has(run)));
      for (const line of lines) line.visible = !hidden.has(line.run);
      shared.redraw();
    });
    return button;
  });
  return [
    el("p", { class: "lead", text: "Loss terms in nats, held-out figures in percent, over the epochs." }),
    curves.length > 1 ? el("div", { class: "chooser", role: "group", "aria-label": "Runs shown" }, ...toggles) : null,
    el("div", { class: "panels" }, ...main.filter(Boolean)),
    rest.some(Boolean)
      ? el("details", {}, el("summary", { text: "Learning rate, speed, memory" }), el("div", { class: "panels" }, ...rest.filter(Boolean)))
      : null,
  ];
}
