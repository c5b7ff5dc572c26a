"""Settings of text in PPO: `ptx`, which is learned, and `evaluation.text`, which is not."""

from __future__ import annotations

from tests.settings.effects.effect import Effect, becomes, rises
from tests.settings.effects.look import first, longest_pass, metric, training_passes, weights

TEXT = "text: [{path: '{inputs}/text.txt', format: text, separator: \"\\n\\n\"}]"
MORE_TEXT = "[{path: '{inputs}/more_text.txt', format: text, separator: \"\\n\\n\"}]"
DRAWN = "generator: '{inputs}/generator.py:documents', num_documents: 20"
SHORT = "ppo.num_updates=1"
PTX = (SHORT, f"ptx={{{TEXT}, coef: 1.0, batch_size: 2, max_tokens: 32}}")
PTX_DRAWN = (SHORT, f"ptx={{{DRAWN}, coef: 1.0, batch_size: 2, max_tokens: 32}}")
PTX_DEMONSTRATIONS = (
    SHORT,
    "ptx={demonstrations: [{path: '{inputs}/demonstrations.train.jsonl'}], batch_size: 2, max_tokens: 100}",
)
HELD_OUT = (SHORT, f"evaluation.text={{{TEXT}, max_tokens: 32}}")
HELD_OUT_DRAWN = (SHORT, f"evaluation.text={{{DRAWN}, max_tokens: 32}}")
LOSS = first("ppo/ptx_loss")
HELD_OUT_LOSS = first("evaluation/text_loss")

ENTRIES = (
    Effect("ptx", PTX[1].partition("=")[2], "the text is learned", LOSS, rises, (SHORT,)),
    Effect("ptx.text", MORE_TEXT, "other text is learned", LOSS, given=PTX),
    Effect(
        "ptx.generator",
        "{inputs}/generator.py:riddles",
        "other text is learned",
        LOSS,
        given=PTX_DRAWN,
    ),
    Effect("ptx.generator_seed", "7", "other text is learned", LOSS, given=PTX_DRAWN),
    Effect("ptx.num_documents", "10", "other text is learned", LOSS, given=PTX_DRAWN),
    Effect(
        "ptx.demonstrations",
        "[{path: '{inputs}/demonstrations.train.jsonl'}]",
        "demonstrations are learned too",
        LOSS,
        given=PTX,
    ),
    Effect("ptx.coef", "10.0", "other weights", weights, given=PTX),
    Effect("ptx.batch_size", "4", "more passes in training", training_passes, rises, PTX),
    Effect("ptx.max_tokens", "100", "rows of so many tokens", longest_pass, becomes(54, 100), PTX),
    Effect(
        "evaluation.text",
        HELD_OUT[1].partition("=")[2],
        "its loss is measured",
        metric("evaluation/text_loss"),
        lambda before, after: not before and len(after) == 2,
        (SHORT,),
    ),
    Effect("evaluation.text.text", MORE_TEXT, "the loss on other text", HELD_OUT_LOSS, given=HELD_OUT),
    Effect(
        "evaluation.text.generator",
        "{inputs}/generator.py:riddles",
        "the loss on other text",
        HELD_OUT_LOSS,
        given=HELD_OUT_DRAWN,
    ),
    Effect(
        "evaluation.text.generator_seed", "7", "the loss on other text", HELD_OUT_LOSS, given=HELD_OUT_DRAWN
    ),
    Effect(
        "evaluation.text.num_documents", "10", "the loss on other text", HELD_OUT_LOSS, given=HELD_OUT_DRAWN
    ),
    Effect(
        "evaluation.text.max_tokens",
        "100",
        "rows of so many tokens",
        longest_pass,
        becomes(54, 100),
        HELD_OUT,
    ),
)
