"""Open Assistant message trees (Köpf et al. 2023, arXiv:2304.07327): replies nested in messages.

A row is the export's tree (``{"prompt": {...}}``) or its root message itself. Among the replies to a prompter
the export's ``rank`` 0 is best; it is null for single replies and for the prompters' own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlhf.feedback.columns import build_prompt, group_of_messages, named_group
from rlhf.feedback.mapping import Source
from rlhf.feedback.notes import BadRow, TakeNote
from rlhf.feedback.paths import check_text
from rlhf.feedback.records import Demonstration, Message, Prompt, Ranking
from rlhf.feedback.rows import Row
from rlhf.feedback.tables import checked_ranking

__all__ = ["tree_demonstrations", "tree_prompts", "tree_rankings", "tree_threads"]

_ROLE = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class _Node:
    """A message with the conversation that ends in it, and the replies to it in the tree's order."""

    id: str
    rank: int | None
    path: tuple[Message, ...]
    replies: list[dict[str, Any]]


def _root(row: Row) -> dict[str, Any]:
    root = row.values.get("prompt", row.values)
    if not isinstance(root, dict) or "replies" not in root:
        message = "a tree is an object with text, role and replies, or has one under 'prompt'"
        raise BadRow(message, row.where, "bad_tree")
    return root


def _node(values: Any, path: tuple[Message, ...], where: str) -> _Node:
    if not isinstance(values, dict):
        raise BadRow(f"a reply is an object, not {str(values)[:40]!r}", where, "bad_tree")
    role, replies, rank = values.get("role"), values.get("replies"), values.get("rank")
    if not isinstance(role, str) or role not in _ROLE:
        raise BadRow(f"role {role!r} is not one of {', '.join(_ROLE)}", where, "bad_roles")
    if not isinstance(replies or [], list):
        raise BadRow("'replies' must be a list", where, "bad_tree")
    if rank is not None and (type(rank) is not int or rank < 0):
        raise BadRow(f"rank {rank!r} is not a whole number from 0 (best) up, or null", where, "bad_rank")
    text = check_text(values.get("text"), "text", where)
    return _Node(
        str(values.get("message_id") or where), rank, (*path, Message(_ROLE[role], text)), replies or []
    )


def _children(node: _Node, where: str, take_note: TakeNote | None) -> list[_Node]:
    """Return the replies that stay: deleted ones and ones without text go, with all that hangs on them."""
    kept = []
    for values in node.replies:
        child = _node(values, node.path, where)
        gone = (
            "deleted_message"
            if values.get("deleted")
            else ""
            if child.path[-1].content.strip()
            else "empty_response"
        )
        if not gone:
            kept.append(child)
        elif take_note is not None:
            take_note(gone, where, f"message {child.id} and its replies are left out", skipped=True)
    return kept


def _walk(row: Row, take_note: TakeNote | None) -> Iterator[tuple[_Node, list[_Node]]]:
    """Yield each message with its replies, parents before children, without recursion (trees may be deep)."""
    stack = [_node(_root(row), (), row.where)]
    while stack:
        node = stack.pop()
        children = _children(node, row.where, take_note)
        yield node, children
        stack.extend(reversed(children))


def _asked(row: Row, source: Source, take_note: TakeNote) -> Iterator[tuple[Prompt, list[_Node]]]:
    """Yield each prompt of the tree with the assistant's replies to it."""
    tree = row.values.get("message_tree_id") or _node(_root(row), (), row.where).id
    for node, children in _walk(row, take_note):
        if node.path[-1].role != "user":
            continue
        columns = {"message_tree_id": tree, "num_turns": len(node.path)}
        # A tree's prompts share their beginning, so they are one group: that of its first message, which
        # also holds two trees together that begin alike.
        group = named_group(row, source) or group_of_messages(node.path[:1])
        prompt = build_prompt(node.path, row, source, columns=columns, id=node.id, group=group)
        yield prompt, [child for child in children if child.path[-1].role == "assistant"]


def tree_prompts(row: Row, source: Source, take_note: TakeNote) -> Iterator[Prompt]:
    """Yield every prompter's message of a tree, each with the conversation before it."""
    for prompt, _ in _asked(row, source, take_note):
        yield prompt


def tree_rankings(row: Row, source: Source, take_note: TakeNote) -> Iterator[Ranking]:
    """Yield each group of two or more sibling replies of which at least two are ranked."""
    for prompt, replies in _asked(row, source, take_note):
        if len(replies) < 2:
            continue
        ranks = tuple(None if reply.rank is None else reply.rank + 1 for reply in replies)
        if len(ranks) - ranks.count(None) < 2:
            message = f"fewer than two of the {len(replies)} replies to {prompt.id} are ranked"
            take_note("missing_rank", row.where, message, skipped=True)
            continue
        responses = [reply.path[-1].content for reply in replies]
        yield checked_ranking(prompt, responses, ranks, None, None, take_note)


def tree_demonstrations(row: Row, source: Source, take_note: TakeNote) -> Iterator[Demonstration]:
    """Yield the best reply to each prompt (`replies: best`) or every one (`replies: all`)."""
    for prompt, replies in _asked(row, source, take_note):
        for reply in _chosen(replies, source, row.where, take_note):
            yield Demonstration(prompt, reply.path[-1].content)


def _chosen(replies: list[_Node], source: Source, where: str, take_note: TakeNote) -> list[_Node]:
    if source.replies == "all" or len(replies) < 2:
        return replies
    ranked = [(reply.rank, place) for place, reply in enumerate(replies) if reply.rank is not None]
    if not ranked:
        take_note("missing_rank", where, f"none of {len(replies)} sibling replies is ranked", skipped=True)
        return []
    return [replies[min(ranked)[1]]]


def tree_threads(row: Row, source: Source, take_note: TakeNote) -> Iterator[tuple[str, tuple[Message, ...]]]:
    """Yield (id of its last message, conversation) for each way from the root to a leaf.

    With `replies: best` only the best reply to each prompt is followed.
    """
    stack = [_node(_root(row), (), row.where)]
    while stack:
        node = stack.pop()
        children = _children(node, row.where, take_note)
        if node.path[-1].role == "user":
            children = _chosen(children, source, row.where, take_note)
        if not children:
            yield node.id, node.path
        stack.extend(reversed(children))
