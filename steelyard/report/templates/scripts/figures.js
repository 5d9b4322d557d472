// numbers of a figure at one place of its horizontal axis: with a pointer, a finger, or the keys of the slider below
function pointsOf(path) {
  return path.getAttribute("d").slice(1).split("L").map(pair => pair.split(" ").map(Number));
}

function heightAt(points, x) {
  if (x < points[0][0] || x > points[points.length - 1][0]) return null;
  let last = 0;
  while (last + 1 < points.length && points[last + 1][0] <= x) last += 1;
  if (last + 1 === points.length) return points[last][1];
  const [[x0, y0], [x1, y1]] = [points[last], points[last + 1]];
  return x1 === x0 ? y1 : y0 + (y1 - y0) * (x - x0) / (x1 - x0);
}

for (const figure of document.querySelectorAll("figure.curves")) {
  const svg = figure.querySelector("svg[role=img]");
  const [left, right, top, bottom] = ["left", "right", "top", "bottom"].map(name => Number(svg.dataset[name]));
  const guide = svg.querySelector(".guide");
  const holder = figure.querySelector(".read");
  const slider = holder.querySelector("input");
  const said = holder.querySelector("output");
  const lines = [...svg.querySelectorAll("path.curve[data-strategy]")].reverse().map(path => ({
    name: path.dataset.strategy,
    points: pointsOf(path),
    box: figure.querySelector(`input[data-of="${/style-(\d)/.exec(path.getAttribute("class"))[1]}"]`),
  }));
  const words = {precision: "recall", roc: "false alarms", reliability: "predicted"}[figure.dataset.kind];

  const read = () => {
    const share = slider.value / 1000;
    const x = left + share * (right - left);
    guide.setAttribute("d", `M${x} ${top}V${bottom}`);
    const values = lines.filter(line => line.box.checked).map(line => {
      const y = heightAt(line.points, x);
      return `${line.name} ${y === null ? "–" : ((bottom - y) / (bottom - top)).toFixed(2)}`;
    });
    said.textContent = `${words} ${share.toFixed(2)}: ${values.join(", ") || "no line is shown"}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  };

  holder.hidden = false;
  slider.addEventListener("input", read);
  figure.addEventListener("change", read);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    slider.value = Math.round(1000 * Math.min(1, Math.max(0, (x - left) / (right - left))));
    read();
  });
  read();
}
