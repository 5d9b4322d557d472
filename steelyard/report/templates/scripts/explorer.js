// a threshold, costs and a share of the class → what happens; all from counts that were stored with the results
const holder = document.getElementById("explore-data");
if (holder) explore(JSON.parse(holder.textContent));

function explore(data) {
  const at = name => document.getElementById(`x-${name}`);
  const frame = document.querySelector("figure.curves svg[role=img]").dataset;
  const [left, right, top, bottom] = [frame.left, frame.right, frame.top, frame.bottom].map(Number);
  const start = data.series[data.start];
  let series = start;

  const plain = (value, digits) => value.toLocaleString("en-US", {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
  const share = value => Number.isFinite(value) ? value.toFixed(3) : "–";
  const short = value => value >= 100 ? plain(value, 0) : value >= 10 ? plain(value, 1) : plain(value, 2);
  const rows = count => {
    const mean = count / data.repeats;
    return plain(mean, Number.isInteger(mean) ? 0 : 1);
  };

  // what a threshold amounts to among new rows of which a share `prior` is of the class
  function outcome(k, prior, alarm, miss) {
    const last = series.t.length - 1;
    const [tp, fp, positives, negatives] = [series.tp[k], series.fp[k], series.tp[last], series.fp[last]];
    const recall = tp / positives;
    const rate = negatives ? fp / negatives : 0;
    const [found, missed] = [prior * recall, prior * (1 - recall)];
    const [false_, left_] = [(1 - prior) * rate, (1 - prior) * (1 - rate)];
    return {
      tp, fp, fn: positives - tp, tn: negatives - fp, recall, found, missed, false_, left_,
      precision: found / (found + false_), alarms: found + false_,
      f1: 2 * found / (2 * found + missed + false_), cost: alarm * false_ + miss * missed,
    };
  }

  const stakes = {alarm: 1, miss: 1, prior: 0.5};
  const all = () => series.t.map((_, k) => outcome(k, stakes.prior, stakes.alarm, stakes.miss));
  const lowest = (list, value) => list.reduce((best, one, k) => value(one) < value(list[best]) ? k : best, 0);
  const threshold = k => series.t[k] === null ? "above every row" : String(series.t[k]);

  function place(mark, one) {
    mark.setAttribute("cx", left + one.recall * (right - left));
    mark.setAttribute("cy", bottom - (Number.isFinite(one.precision) ? one.precision : 1) * (bottom - top));
  }

  function show() {
    const list = all();
    const k = Number(at("threshold").value);
    const now = list[k];
    const cheapest = lowest(list, one => one.cost);
    at("at").textContent = threshold(k);
    at("threshold").setAttribute("aria-valuetext", `a probability of at least ${threshold(k)}`);
    for (const name of ["recall", "precision", "f1"]) at(name).textContent = share(now[name]);
    at("alarms").textContent = short(1000 * now.alarms);
    at("cost").textContent = short(1000 * now.cost);
    at("said").textContent = `Of 1,000 new rows ${short(1000 * now.alarms)} are labelled ${series.class}: ` +
      `${short(1000 * now.found)} rightly, ${short(1000 * now.false_)} as false alarms. ` +
      `${short(1000 * now.missed)} are missed.`;
    at("best").textContent = k === cheapest
      ? "For these costs no other threshold is cheaper."
      : `Cheapest for these costs: a threshold of ${threshold(cheapest)}, at ${short(1000 * list[cheapest].cost)} ` +
        `per 1,000 rows (${short(1000 * (now.cost - list[cheapest].cost))} less).`;
    for (const [name, count, of] of [["tp", now.tp, now.found], ["fn", now.fn, now.missed],
      ["fp", now.fp, now.false_], ["tn", now.tn, now.left_]]) {
      const small = document.createElement("small");
      small.textContent = `${short(1000 * of)} per 1,000`;
      at(name).replaceChildren(rows(count), small);
      const truth = name === "tp" || name === "fn" ? now.found + now.missed : now.false_ + now.left_;
      at(name).style.setProperty("--depth", `${truth ? Math.round(100 * of / truth) : 0}%`);
    }
    const most = Math.max(...list.map(one => one.cost)) || 1;
    const x = index => (1000 * index / (list.length - 1 || 1)).toFixed(1);
    at("hill").setAttribute("d", "M0 100" + list.map((one, index) =>
      `L${x(index)} ${(98 - 92 * one.cost / most).toFixed(1)}`).join("") + "L1000 100Z");
    at("valley").setAttribute("d", `M${x(cheapest)} 0V100`);
    at("curve").setAttribute("d", "M" + list.filter(one => Number.isFinite(one.precision)).map(one =>
      `${(left + one.recall * (right - left)).toFixed(1)} ${(bottom - one.precision * (bottom - top)).toFixed(1)}`
    ).join("L"));
    place(at("dot"), now);
    place(at("ring"), list[cheapest]);
  }

  // sliders are logarithmic: costs in powers of ten, the share in log odds; the fields beside them take any number
  const toSlider = {
    alarm: value => Math.log10(value || 0.01),
    miss: value => Math.log10(value || 0.01),
    prior: value => Math.log(value / (1 - value)),
  };
  const fromSlider = {
    alarm: moved => 10 ** moved,
    miss: moved => 10 ** moved,
    prior: moved => 1 / (1 + Math.exp(-moved)),
  };
  const unit = {alarm: 1, miss: 1, prior: 100};
  function slide(name) {
    at(`${name}-range`).value = toSlider[name](stakes[name]);
    at(`${name}-range`).setAttribute("aria-valuetext", at(name).value);
  }
  function set(name, value) {
    stakes[name] = value;
    at(name).value = Number((unit[name] * value).toPrecision(4));
    slide(name);
  }
  for (const name of ["alarm", "miss", "prior"]) {
    at(name).addEventListener("input", () => {
      const typed = Math.max(0, Number(at(name).value) || 0) / unit[name];
      stakes[name] = name === "prior" ? Math.min(1, typed) : typed;
      slide(name);
      show();
    });
    at(`${name}-range`).addEventListener("input", event => {
      const value = Number(fromSlider[name](Number(event.target.value)).toPrecision(3));
      stakes[name] = value;
      at(name).value = Number((unit[name] * value).toPrecision(4));
      event.target.setAttribute("aria-valuetext", at(name).value);
      show();
    });
  }

  function own() {
    const last = series.t.length - 1;
    set("alarm", data.costs[series.class][0]);
    set("miss", data.costs[series.class][1]);
    set("prior", series.tp[last] / (series.tp[last] + series.fp[last]));  // as in the table
  }

  const goals = {
    cheapest: () => lowest(all(), one => one.cost),
    f1: () => lowest(all(), one => -one.f1),
    half: () => series.half,
    share: () => series.share,
  };
  for (const button of document.querySelectorAll(".explore [data-go]")) {
    button.addEventListener("click", () => { at("threshold").value = goals[button.dataset.go](); show(); });
  }
  at("threshold").addEventListener("input", show);

  function fill(select, names, chosen, text = name => name) {
    select.replaceChildren(...names.map(name => {
      const option = document.createElement("option");
      option.value = name;
      option.textContent = text(name);
      option.selected = name === chosen;
      return option;
    }));
  }

  // another series keeps the costs; the threshold goes to what is cheapest there
  function choose(model, strategy, label, fresh) {
    const mine = data.series.filter(one => one.model === model && one.class === label);
    series = mine.find(one => one.strategy === strategy) || mine[0];
    fill(at("model"), [...new Set(data.series.map(one => one.model))], model);
    fill(at("strategy"), mine.map(one => one.strategy), series.strategy, name => {
      const same = mine.find(one => one.strategy === name).same;
      return same.length ? `${name} (also: ${same.join(", ")})` : name;
    });
    fill(at("class"), data.labels, label);
    for (const text of document.querySelectorAll(".x-label")) text.textContent = label;
    for (const text of document.querySelectorAll(".x-other")) text.textContent = data.two ? data.other : "another class";
    at("threshold").max = series.t.length - 1;
    if (fresh) own();
    at("threshold").value = goals.cheapest();
    show();
  }
  for (const name of ["model", "strategy", "class"]) {
    at(name).addEventListener("change", () =>
      choose(at("model").value, at("strategy").value, at("class").value, name === "class"));
  }
  at("reset").addEventListener("click", () => { own(); at("threshold").value = goals.cheapest(); show(); });

  document.querySelector(".explore").hidden = false;
  document.querySelector("#explore .needs-script").hidden = true;
  choose(start.model, start.strategy, start.class, true);
}
