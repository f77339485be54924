// The page of `kata serve`: draw a digit or choose a picture, send it, show what the model answers.

const texts = {
  en: {
    draw: "Draw a digit", hint: "With the mouse, a pen or a finger.", clear: "Clear",
    picture: "Choose a picture", answer: "The model reads", program: "From a program",
    other: "日本語", unreachable: "The server does not answer.",
  },
  ja: {
    draw: "数字を書いてください", hint: "マウス、ペン、指で書けます。", clear: "消す",
    picture: "画像を選ぶ", answer: "モデルの答え", program: "プログラムから使う",
    other: "English", unreachable: "サーバーが応答しません。",
  },
};

const element = (id) => document.getElementById(id);
const canvas = element("canvas");
const pen = canvas.getContext("2d");
let language = navigator.language.startsWith("ja") ? "ja" : "en";
let route = null;
let last = null;
let timer = 0;
let newest = 0;

function showLanguage() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) {
    node.textContent = texts[language][node.dataset.text];
  }
  element("language").textContent = texts[language].other;
}

function clearCanvas() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  element("class").textContent = "–";
  element("probabilities").replaceChildren();
  element("error").textContent = "";
  newest++;
  clearTimeout(timer);
}

function showAnswer(answer) {
  element("error").textContent = "";
  const list = element("probabilities");
  if (answer.probabilities === undefined) {
    element("class").textContent = (answer.output || []).map((x) => x.toPrecision(4)).join(" ");
    list.replaceChildren();
    return;
  }
  const best = "class" in answer ? [answer.class] : answer.classes;
  element("class").textContent = best.join(", ") || "–";
  list.replaceChildren(...answer.probabilities.map((p, i) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    const bar = document.createElement("meter");
    const number = document.createElement("span");
    name.textContent = String(answer.labels[i]);
    bar.value = p;
    bar.setAttribute("aria-hidden", "true");
    number.textContent = (100 * p).toFixed(1) + " %";
    row.append(name, bar, number);
    row.className = best.includes(answer.labels[i]) ? "best" : "";
    return row;
  }));
}

async function ask(blob) {
  const mine = ++newest;
  const form = new FormData();
  form.append("image", blob, "digit.png");
  try {
    const reply = await fetch(route + "?detail=1", { method: "POST", body: form });
    const answer = await reply.json();
    if (mine !== newest) {
      return;
    }
    if (reply.ok) {
      showAnswer(answer);
    } else {
      element("error").textContent = answer.error;
    }
  } catch {
    element("error").textContent = texts[language].unreachable;
  }
}

function askSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => canvas.toBlob(ask, "image/png"), 150);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width,
          (event.clientY - box.top) * canvas.height / box.height];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  pen.lineWidth = 20;
  pen.lineCap = "round";
  pen.lineJoin = "round";
  pen.strokeStyle = "#000";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...last);
  pen.stroke();
});
canvas.addEventListener("pointermove", (event) => {
  if (last === null) {
    return;
  }
  const next = place(event);
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...next);
  pen.stroke();
  last = next;
  askSoon();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (last !== null) {
      last = null;
      askSoon();
    }
  });
}
element("clear").addEventListener("click", clearCanvas);
element("file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (!file) {
    return;
  }
  clearCanvas();
  const image = await createImageBitmap(file).catch(() => null);
  if (image) {
    const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
    const width = image.width * scale, height = image.height * scale;
    pen.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  }
  ask(file);
  event.target.value = "";
});
element("language").addEventListener("click", () => {
  language = language === "en" ? "ja" : "en";
  showLanguage();
});

showLanguage();
clearCanvas();
fetch("/v1/models").then((reply) => reply.json()).then((list) => {
  const model = list.models[0];
  route = model.picture_routes[0];
  element("model").textContent = model.name;
  element("curl").textContent = `curl -F image=@digit.png ${location.origin}${route}`;
}).catch(() => {
  element("error").textContent = texts[language].unreachable;
});
