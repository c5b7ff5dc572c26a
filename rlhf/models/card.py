"""The README.md of a saved model: what it is, what it came from, what it got."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["build_card"]

_USE = {
    "text-generation": "AutoModelForCausalLM",
    "text2text-generation": "AutoModelForSeq2SeqLM",
    "text-classification": "AutoModelForSequenceClassification",
}


def build_card(
    title: str,
    text: str,
    *,
    task: str,
    base_model: str | None,
    numbers: Mapping[str, object],
    tags: tuple[str, ...] = (),
    adapter: bool = False,
) -> str:
    """Write a model card in the Hugging Face form.

    Args:
        title: its heading.
        text: a paragraph: what was trained on what.
        task: "text-generation" (decoders), "text2text-generation" (encoder-decoders) or
            "text-classification".
        base_model: path or hub id of what it started from.
        numbers: what was measured, shown as a table.
        tags: more tags beside "rlhf".
        adapter: the folder holds an adapter, which needs its base to be where it was.

    """
    header = ["---", "library_name: transformers", f"pipeline_tag: {task}", "tags:", "- rlhf"]
    header += [f"- {tag}" for tag in tags]
    if base_model is not None and not base_model.startswith(("/", ".", "~")):
        header.append(f"base_model: {base_model}")
    rows = [f"| {name} | {_shown(value)} |" for name, value in numbers.items()]
    scores = adapter and task == "text-classification"  # its base does not say what a reward model is
    labels = ", num_labels=1" if scores else ""
    use = f"```python\nfrom transformers import {_USE[task]}, AutoTokenizer\n\n"
    use += f'model = {_USE[task]}.from_pretrained("path/to/this/folder"{labels})\n'
    use += 'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n'
    use += "model.config.pad_token_id = tokenizer.pad_token_id\n```" if scores else "```"
    return "\n".join(
        [*header, "---", "", f"# {title}", "", text, "", "| | |", "|---|---|", *rows, "", use, ""]
    )


def _shown(value: object) -> str:
    return (
        f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
