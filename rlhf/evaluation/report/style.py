"""The page's style and its few lines of script, inside the page: nothing is fetched."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f6f3; --card: #ffffff; --ink: #1d1f24; --muted: #646a73; --line: #e2e0da; --soft: #f0eee9;
  --base: #8b8f98; --sft: #2f6fc4; --ppo: #d1550f; --reward: #7a4fb5; --alt: #14857c;
  --good: #14713f; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1c1f25; --ink: #e9e8e4; --muted: #9aa1ac; --line: #30343c; --soft: #252932;
    --base: #9299a5; --sft: #6ea8f5; --ppo: #ff9152; --reward: #b794f0; --alt: #4cc2b4;
    --good: #62cf92; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
h1 { font-size: clamp(1.5rem, 4.2vw, 2.3rem); line-height: 1.18; margin: .2em 0 .5em; letter-spacing: -.015em;
  text-wrap: balance; }
h2 { font-size: 1.35rem; margin: 3rem 0 .3rem; letter-spacing: -.01em; }
h3 { font-size: 1rem; margin: 1.8rem 0 .6rem; }
p { margin: .4em 0 1em; max-width: 68ch; }
a { color: var(--sft); }
.lead, .note, figcaption span, small { color: var(--muted); }
.kicker { margin: 2.4rem 0 0; color: var(--muted); font-size: .85rem; letter-spacing: .04em; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: .9rem 0 0; font-size: .9rem; }
.hero { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 16px; }
.card, .panel, .example { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; margin: 0; }
.big { font-size: clamp(3rem, 11vw, 4.6rem); font-weight: 700; line-height: 1; letter-spacing: -.03em;
  color: var(--ppo); font-variant-numeric: tabular-nums; }
.big small { font-size: 1rem; font-weight: 400; letter-spacing: 0; line-height: 1.45; display: block;
  margin-top: .7rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 14px; }
.warn { border-left: 4px solid var(--ppo); margin: 14px 0; }
.warn ul { margin: .3rem 0 0; padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: fit-content(50%) 1fr; gap: .18rem .9rem; margin: .7rem 0 0;
  font-size: .88rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.step { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; }
.step b { font-size: 1.05rem; }
.step small { white-space: nowrap; }
#training .grid { align-items: start; }
.base { --own: var(--base); } .sft { --own: var(--sft); } .ppo { --own: var(--ppo); }
.reward { --own: var(--reward); } .alt { --own: var(--alt); } .muted { --own: var(--muted); }
.card.sft, .card.reward, .card.ppo { border-top: 4px solid var(--own); }
.intervals { list-style: none; margin: .8rem 0; padding: 0; }
.intervals li { display: grid; grid-template-columns: minmax(7.5rem, 14rem) 1fr 11rem; align-items: center;
  gap: 0 14px; padding: .22rem 0; }
.intervals .value { font-variant-numeric: tabular-nums; font-size: .88rem; color: var(--muted); }
.intervals .what { font-size: .93rem; }
.track { position: relative; height: 18px; border-radius: 9px; background: var(--soft); margin: 0 6px; }
.track i { position: absolute; top: 50%; }
.track .mark { width: 1px; height: 100%; top: 0; background: var(--muted); opacity: .55; }
.track .span { height: 5px; margin-top: -2.5px; min-width: 2px; border-radius: 3px; background: var(--own);
  opacity: .4; }
.track .dot { width: 12px; height: 12px; border-radius: 50%; background: var(--own);
  border: 2px solid var(--card); box-sizing: content-box; margin: -8px 0 0 -8px; }
.hero .intervals li { grid-template-columns: 3rem 1fr auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 14px; }
.pair .intervals li { grid-template-columns: 7.6rem 1fr 9.4rem; }
.scroll { overflow-x: auto; margin: .8rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
.caption { color: var(--muted); font-size: .88rem; margin: 1.6rem 0 -.4rem; }
th, td { text-align: right; padding: .38rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; font-weight: 500; white-space: pre-wrap;
  min-width: 8.5rem; }
thead th { color: var(--muted); font-weight: 500; }
.panel { padding: 14px 14px 8px; }
.drawing svg { display: block; width: 100%; height: auto; overflow: visible; }
.drawing text { font-family: inherit; }
figcaption { font-size: .9rem; line-height: 1.35; margin-bottom: .5rem; }
details { margin: .9rem 0; }
summary { cursor: pointer; color: var(--sft); }
details .grid { margin-top: .8rem; }
pre { background: var(--soft); border-radius: 8px; padding: 12px 14px; overflow-x: auto; font-size: .8rem;
  line-height: 1.45; }
code { font-size: .88em; overflow-wrap: anywhere; }
.filters { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; margin: 1rem 0;
  font-size: .9rem; }
select, .filters input { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; padding: .35rem .6rem; max-width: 100%; }
.example { margin: 0 0 14px; }
.example[hidden] { display: none; }
.turn { margin: 0 0 .3rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.turn.last { font-size: 1.06rem; font-weight: 600; }
.turn b { font-weight: 500; color: var(--muted); font-size: .8rem; margin-right: .35rem; }
.tags { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: .6rem; font-size: .78rem;
  color: var(--muted); }
.tags span { border: 1px solid var(--line); border-radius: 99px; padding: .02rem .6rem; }
.tags .better { color: var(--good); border-color: currentColor; }
.tags .worse { color: var(--bad); border-color: currentColor; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 250px), 1fr)); gap: 12px;
  margin-top: .9rem; }
.answer { border-left: 3px solid var(--own); padding: 0 0 0 12px; min-width: 0; }
.answer h4 { margin: 0 0 .15rem; font-size: .8rem; font-weight: 600; color: var(--own); }
.answer p { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.answer small { display: block; margin-top: .35rem; font-size: .79rem; font-variant-numeric: tabular-nums; }
.cut { color: var(--bad); }
footer { margin-top: 3rem; padding-bottom: 3rem; color: var(--muted); font-size: .85rem; }
:focus-visible { outline: 2px solid var(--sft); outline-offset: 2px; }
@media (max-width: 640px) {
  td { white-space: normal; }
  th, td { padding: .35rem .35rem; font-size: .82rem; }
  th:first-child { min-width: 5.5rem; }
  .pair .intervals li,
  .intervals li { grid-template-columns: 1fr auto; padding: .4rem 0; }
  .intervals .track { grid-row: 2; grid-column: 1 / -1; margin-top: .2rem; }
}
@media print { nav, .filters { display: none; } .example, .card, .panel { break-inside: avoid; } }
"""

SCRIPT = """
(function () {
  var filters = document.getElementById("filters");
  if (!filters) { return; }
  var examples = Array.prototype.slice.call(document.querySelectorAll(".example"));
  var count = document.getElementById("shown");
  function show() {
    var family = filters.elements.family ? filters.elements.family.value : "";
    var outcome = filters.elements.outcome ? filters.elements.outcome.value : "";
    var words = filters.elements.words.value.trim().toLowerCase();
    var shown = 0;
    examples.forEach(function (one) {
      var fits = (!family || one.dataset.family === family) &&
        (!outcome || one.dataset.outcome === outcome) &&
        (!words || one.textContent.toLowerCase().indexOf(words) >= 0);
      one.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = shown + " of " + examples.length + " shown";
  }
  filters.hidden = false;
  filters.addEventListener("input", show);
  filters.addEventListener("submit", function (event) { event.preventDefault(); });
  show();
})();
"""
