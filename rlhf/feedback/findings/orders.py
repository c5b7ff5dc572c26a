"""Whether what one annotator said of the responses to a prompt fits any order; if not, why."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Disorder", "find_disorder"]

Edges = dict[int, set[int]]  # from each response to those that it is better than


@dataclass(frozen=True)
class Disorder:
    """What is wrong with some comparisons.

    Args:
        contradictions: pairs of responses that have two different labels.
        cycle: responses of which each is better than the next, the last one the first again; empty: none.
        tied_cycle: the same with ties: signs[i] (">" or "=") stands between response i and i + 1.
        signs: of `tied_cycle`.
    """

    contradictions: tuple[tuple[int, int], ...]
    cycle: tuple[int, ...]
    tied_cycle: tuple[int, ...]
    signs: str


def find_disorder(comparisons: Iterable[tuple[int, int, float]]) -> Disorder:
    """Return what keeps comparisons ``(i, j, p)`` (p = 1: i is better, 0.5: a tie) from fitting an order.

    Pairs with two labels are contradictions and are left out of the search for cycles. A cycle with ties
    (a = b, b = c, a > c) is only looked for where there is none without.

    >>> find_disorder([(2, 1, 1.0), (1, 4, 1.0), (4, 2, 1.0)]).cycle
    (1, 4, 2, 1)
    """
    labels: dict[tuple[int, int], set[float]] = {}
    for i, j, p in comparisons:
        if i != j:
            labels.setdefault((min(i, j), max(i, j)), set()).add(p if i < j else 1.0 - p)
    two = tuple(sorted(pair for pair, said in labels.items() if len(said) > 1))
    better: Edges = {}
    either: Edges = {}
    for (i, j), said in labels.items():
        if len(said) > 1:
            continue
        (p,) = said
        for one, other, holds in ((i, j, p >= 0.5), (j, i, p <= 0.5)):
            if holds:
                either.setdefault(one, set()).add(other)
                if p != 0.5:
                    better.setdefault(one, set()).add(other)
    cycle = _shortest_cycle(better, better)
    tied = () if cycle else _shortest_cycle(better, either)
    signs = "".join(">" if second in better.get(first, ()) else "=" for first, second in pairwise(tied))
    return Disorder(two, cycle, tied, signs)


def _shortest_cycle(first: Edges, others: Edges) -> tuple[int, ...]:
    """Return the shortest way from a node to itself, its first step in `first`, the others in `others`."""
    core = _in_cycles(others)
    best: tuple[int, ...] = ()
    for start in sorted(core & set(first)):
        for second in sorted(first[start] & core):
            way = _shortest_way(second, start, others, core)
            if way and (not best or len(way) + 1 < len(best)):
                best = (start, *way)
        if len(best) == 4:  # none is shorter: two responses have one label
            break
    return best


def _in_cycles(edges: Edges) -> set[int]:
    """Return the nodes that are left when those without a successor are taken away again and again."""
    counts = {node: len(following) for node, following in edges.items()}
    before: dict[int, list[int]] = {}
    for node, following in edges.items():
        for other in following:
            before.setdefault(other, []).append(node)
    waiting = [node for node in before if node not in edges]
    while waiting:
        for node in before.get(waiting.pop(), ()):
            counts[node] -= 1
            if not counts[node]:
                waiting.append(node)
    return {node for node, count in counts.items() if count}


def _shortest_way(start: int, end: int, edges: Edges, core: set[int]) -> tuple[int, ...]:
    """Return the nodes from `start` to `end`, both included; empty where there is no way."""
    before = {start: start}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == end:
            way = [end]
            while way[-1] != start:
                way.append(before[way[-1]])
            return tuple(reversed(way))
        for other in sorted(edges.get(node, set()) & core):
            if other not in before:
                before[other] = node
                waiting.append(other)
    return ()
