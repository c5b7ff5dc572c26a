"""The command line of each stage that an entry's other value is laid over: short runs of tiny models.

``{inputs}`` is the folder of `inputs.write_inputs`, ``{desk}`` the one that the run writes to.
"""

from __future__ import annotations

TRAINER = (
    "batch_size=4",
    "microbatch_size=2",
    "learning_rate=3e-3",
    "warmup_fraction=0",
    "mixed_precision=no",
    "log_every_updates=1",
)


def _sources(kind: str, *names: str) -> tuple[str, ...]:
    return tuple(f"data.{name}=[{{path: '{{inputs}}/{kind}.{name}.jsonl'}}]" for name in names)


BASELINES: dict[str, tuple[str, ...]] = {
    "base": (
        "data.train=[{path: '{inputs}/text.txt', format: text, separator: \"\\n\\n\"}]",
        "data.generator={inputs}/generator.py:documents",
        "data.num_documents=20",
        "data.validation_fraction=0.2",
        "model.layers=1",
        "model.width=8",
        "model.heads=2",
        "model.context_tokens=32",
        "model.vocabulary_size=300",
        *(f"base.{pair}" for pair in TRAINER),
        "evaluation.every_updates=2",
        "checkpoint.every_updates=2",
    ),
    "sft": (
        "model.path={inputs}/base",
        *_sources("demonstrations", "train", "validation"),
        *(f"sft.{pair}" for pair in TRAINER),
        "sft.epochs=1",
        "sft.max_prompt_tokens=48",
        "sft.max_response_tokens=24",
        "evaluation.num_samples=2",
        "evaluation.every_updates=2",
        "checkpoint.every_updates=2",
    ),
    "reward": (
        "model.path={inputs}/base",
        *_sources("rankings", "train", "validation", "test"),
        *(f"reward.{pair}" for pair in TRAINER),
        "reward.epochs=1",
        "reward.max_prompt_tokens=48",
        "reward.max_response_tokens=24",
        "centring.num_prompts=8",
        "centring.max_response_tokens=4",
        "evaluation.judge={inputs}/judge.py:judge",
        "evaluation.every_updates=2",
        "checkpoint.every_updates=2",
    ),
    "ppo": (
        "policy.path={inputs}/base",
        *_sources("prompts", "train", "validation"),
        "scores=[{model: '{inputs}/reward'}]",
        "sampling.max_prompt_tokens=48",
        "sampling.max_response_tokens=6",
        "ppo.num_updates=2",
        "ppo.rollout_batch_size=8",
        "ppo.minibatch_size=4",
        "ppo.microbatch_size=2",
        "ppo.learning_rate=3e-3",
        "ppo.warmup_fraction=0",
        "ppo.mixed_precision=no",
        "ppo.missing_eos_score=null",  # all six tokens are used up: every score would be the same
        "evaluation.judge={inputs}/judge.py:judge",
        "evaluation.every_updates=null",
        "evaluation.num_prompts=4",
        "evaluation.num_samples=2",
        "checkpoint.every_updates=1",
        "checkpoint.export=last",
    ),
    "report": (
        "stages.sft={inputs}/finished/sft",
        "stages.reward={inputs}/finished/reward",
        "stages.ppo={inputs}/finished/ppo",
        *_sources("prompts", "test"),
        "evaluation.judge={inputs}/judge.py:judge",
        "evaluation.num_prompts=6",
        "evaluation.greedy=false",
        "evaluation.max_prompt_tokens=48",
        "evaluation.max_response_tokens=6",
        "evaluation.batch_size=4",
        "evaluation.microbatch_size=2",
    ),
}
