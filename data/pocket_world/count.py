"""Print the counts and measured figures of the shipped files, as README.md gives them: cd data && python -m pocket_world.count"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from .generate import load, plan, prompt_of
from .judge import FAMILIES, verdict
from .world import entities

HERE = Path(__file__).resolve().parent


def agreement(rows: list[dict[str, Any]]) -> tuple[float, int]:
    """How often two labelers order a pair the same way, over the pairs that both order strictly."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_prompt.setdefault(prompt_of(row), []).append(row)
    same = total = 0
    for both in by_prompt.values():
        for first, second in itertools.combinations(both, 2):
            for i, j in itertools.combinations(range(len(first["ranks"])), 2):
                a, b = first["ranks"][i] - first["ranks"][j], second["ranks"][i] - second["ranks"][j]
                if a and b:
                    total, same = total + 1, same + ((a > 0) == (b > 0))
    return same / total if total else float("nan"), total


def judged(rows: list[dict[str, Any]]) -> tuple[float, float, float]:
    """The judge's accuracy against the labels (its ties one half), the labelers' ties and the judge's ties."""
    right = strict = ties = judge_ties = pairs = 0.0
    for row in rows:
        scores = [verdict(row["family"], row["task"], response)["score"] for response in row["responses"]]
        for i, j in itertools.combinations(range(len(scores)), 2):
            pairs += 1
            judge_ties += scores[i] == scores[j]
            if row["ranks"][i] == row["ranks"][j]:
                ties += 1
                continue
            strict += 1
            right += (
                0.5
                if scores[i] == scores[j]
                else (scores[i] > scores[j]) == (row["ranks"][i] < row["ranks"][j])
            )
    return right / strict, ties / pairs, judge_ties / pairs


def main() -> None:
    """Print everything."""
    print(f"entities {len(entities())}, facts {sum(len(entity.facts) for entity in entities())}")
    planned = {row["id"]: row for rows in plan().values() for row in rows}
    prompts: set[str] = set()
    for file in sorted(HERE.glob("*.jsonl*")):
        rows = [planned[prompt_of(row)] | row for row in load(file)]
        prompts |= {repr(row["prompt"]) for row in rows}
        two_turn = sum(len(row["prompt"]) > 1 for row in rows) / len(rows)
        line = f"{file.name}: {len(rows)} rows, {file.stat().st_size / 1e6:.1f} MB, two-turn {two_turn:.0%}"
        if "demonstrations" in file.name:
            scores = [verdict(row["family"], row["task"], row["response"])["score"] for row in rows]
            line += f", mean judge score {sum(scores) / len(scores):.3f}, without fault {sum(s == 1 for s in scores) / len(scores):.0%}"
        if "rankings" in file.name:
            same, pairs = agreement(rows)
            right, ties, judge_ties = judged(rows)
            line += f", K {dict(sorted(Counter(len(row['ranks']) for row in rows).items()))}"
            line += f", labelers agree on {same:.1%} of {pairs} pairs, judge right on {right:.1%}, ties {ties:.1%} (judge {judge_ties:.1%})"
        print(line)
    families = Counter(row["family"] for row in planned.values() if row["id"].startswith("p-train"))
    print("families:", ", ".join(f"{family} {families[family]}" for family in FAMILIES))
    print(f"distinct prompts: {len(prompts)}")


if __name__ == "__main__":
    main()
