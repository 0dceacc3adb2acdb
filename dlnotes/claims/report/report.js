"use strict";
(() => {
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll(".verdicts tbody tr")];
  const verdicts = [...form.querySelectorAll("input[name=verdict]")];
  const element = (key) => document.getElementById(key);

  const wanted = () => ({
    chapter: form.elements.chapter.value,
    verdict: verdicts.filter((box) => box.checked).map((box) => box.value),
    words: form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean),
  });

  function show() {
    const { chapter, verdict, words } = wanted();
    let shown = 0;
    for (const row of rows) {
      const fits =
        (!chapter || row.dataset.chapter === chapter) &&
        verdict.includes(row.dataset.verdict) &&
        words.every((word) => row.dataset.words.includes(word));
      row.classList.toggle("filtered", !fits);
      element(row.dataset.key).classList.toggle("filtered", !fits);
      shown += fits;
    }
    for (const section of document.querySelectorAll("section.chapter")) {
      section.classList.toggle("filtered", !section.querySelector(".claim:not(.filtered)"));
    }
    form.querySelector(".shown").textContent = `${shown} of ${rows.length} shown`;
    form.querySelector(".clear").hidden = shown === rows.length;
    document.querySelector(".none").hidden = shown > 0 || rows.length === 0;
  }

  // The filters live in the address (#chapter=F1&verdict=fails&q=depth), so that a view can be sent on.
  function remember() {
    const { chapter, verdict } = wanted();
    const state = new URLSearchParams();
    if (chapter) state.set("chapter", chapter);
    if (verdict.length < verdicts.length) state.set("verdict", verdict.join(","));
    if (form.elements.q.value) state.set("q", form.elements.q.value);
    history.replaceState(null, "", `#${state}` === "#" ? location.pathname + location.search : `#${state}`);
  }

  function clear() {
    form.elements.chapter.value = "";
    for (const box of verdicts) box.checked = true;
    form.elements.q.value = "";
  }

  function recall() {
    const text = location.hash.slice(1);
    if (text.includes("=")) {
      const state = new URLSearchParams(text);
      form.elements.chapter.value = state.get("chapter") ?? "";
      if (form.elements.chapter.selectedIndex < 0) form.elements.chapter.value = "";
      const chosen = state.get("verdict")?.split(",");
      for (const box of verdicts) box.checked = !chosen || chosen.includes(box.value);
      form.elements.q.value = state.get("q") ?? "";
      show();
      if (state.has("verdict")) element("table").scrollIntoView();
      return;
    }
    const target = text ? element(decodeURIComponent(text)) : null;
    if (target?.classList.contains("filtered")) clear(); // a link to a claim that the filters hide
    show();
    if (target) target.scrollIntoView();
  }

  form.addEventListener("input", () => { show(); remember(); });
  form.querySelector(".clear").addEventListener("click", () => { clear(); show(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", recall);
  recall();

  const full = document.querySelector("dialog.full");
  const large = full.querySelector("img");
  for (const button of document.querySelectorAll(".zoom")) {
    button.addEventListener("click", () => {
      const image = button.querySelector("img");
      large.src = image.src;
      large.alt = image.alt;
      full.showModal();
    });
  }
  full.addEventListener("click", (event) => {
    if (event.target === full || event.target.closest(".close")) full.close();
  });

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // where the clipboard is closed to pages opened from a file
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      await copy(button.dataset.text);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
