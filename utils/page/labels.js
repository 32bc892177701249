// The page of a labelling: cards from the least certain on, a class to choose on each, and a file of the corrections.

const data = JSON.parse(document.getElementById("data").textContent);
const [FILE, NAME, CONFIDENCE, SECOND, SECOND_CONFIDENCE, DECIDED_BY, CORRECT] = data.columns.keys();
const DECIDERS = {
  both: "points and images agree",
  points: "points alone say so",
  images: "images alone say so",
  neither: "only points and images together",
  person: "given by a person",
};
const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

/** Write the rows as CSV, quoted as RFC 4180 asks. */
function toCsv(rows) {
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

function bar(name, share) {
  const line = el("div", { class: "likely" }, el("span", { text: name }), el("span", { text: `${percent(share, 0)} %` }));
  const meter = el("meter", { min: 0, max: 1, value: share, "aria-hidden": true });
  return el("div", {}, line, meter);
}

function card({ row, pictures }, changed) {
  const values = data.rows[row];
  const choice = el(
    "select",
    { "aria-label": `class of ${values[FILE]}`, change: () => ((values[CORRECT] = choice.value), changed()) },
    el("option", { value: "", text: "not checked" }),
    ...data.classes.map((name) => el("option", { value: name, text: name, selected: name === values[CORRECT] })),
  );
  const agree = el("button", { type: "button", text: "is right", click: () => ((choice.value = values[NAME]), choice.dispatchEvent(new Event("change"))) });
  return el(
    "figure",
    { class: "panel card", "data-class": values[NAME] },
    el("div", { class: "row" }, ...pictures.map((url) => el("img", { src: url, alt: "" }))),
    el("figcaption", { text: values[FILE] }),
    bar(values[NAME], values[CONFIDENCE]),
    bar(values[SECOND], values[SECOND_CONFIDENCE]),
    el("p", { class: "note", text: DECIDERS[values[DECIDED_BY]] }),
    el("div", { class: "row" }, choice, agree),
  );
}

function main() {
  const status = el("p", { class: "readout", role: "status" });
  const changed = () => {
    const given = data.rows.filter((row) => row[CORRECT]).length;
    status.textContent = given ? `${count(given, "shape")} with a class from you; save them before you close the page` : "";
  };
  const cards = data.shown.map((shape) => card(shape, changed));
  const save = () => {
    const url = URL.createObjectURL(new Blob([toCsv([data.columns, ...data.rows])], { type: "text/csv" }));
    el("a", { href: url, download: "corrected.csv" }).click();
    URL.revokeObjectURL(url);
  };
  const number = (name) => data.rows.filter((row) => row[NAME] === name).length;
  const filter = el(
    "select",
    { "aria-label": "class shown", change: () => cards.forEach((one) => (one.hidden = filter.value && one.dataset.class !== filter.value)) },
    el("option", { value: "", text: `all classes (${data.rows.length})` }),
    ...data.classes.map((name) => el("option", { value: name, text: `${name} (${number(name)})` })),
  );
  const rest = data.rows.length - cards.length;
  document.getElementById("main").append(
    ...data.notes.map((text) => el("p", { class: "lead", text })),
    el("div", { class: "chooser" }, filter, el("button", { type: "button", text: "save corrections", click: save })),
    status,
    el("div", { class: "cards" }, ...cards),
    rest ? el("p", { class: "note", text: `${count(rest, "surer shape")} stand in labels.csv alone` }) : "",
  );
  changed();
}

main();
