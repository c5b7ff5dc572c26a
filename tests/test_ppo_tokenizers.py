"""PPO with models whose tokenizers are not the policy's."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from rlhf.models.saving import save_model
from tests.helpers import tiny_gpt2, tiny_reward_model, tiny_tokenizer
from tests.ppo_stage import lay_over, main
from tests.stage_data import run_main
from tests.tokenizers import gpt2_like


def test_inv41_a_reward_model_with_another_tokenizer_is_given_text(tmp_path, words, capsys):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["lantern"])
    save_model(tiny_reward_model(tokenizer, seed=3), tokenizer, tmp_path / "other")
    more = [f"scores=[{{model: {tmp_path}/other}}]", "critic.init_from=policy", "ppo.num_updates=1"]
    assert run_main(main, lay_over(words, *more)) == 0
    assert "is given text, not ids" in capsys.readouterr().out


def renumbered(tokenizer):
    """The same tokens with other ids."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["content"] for token in rules["added_tokens"]}
    plain = [token for token in rules["model"]["vocab"] if token not in special]
    ids = [rules["model"]["vocab"][token] for token in plain]
    rules["model"]["vocab"].update(zip(plain, reversed(ids), strict=True))
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(rules))
    return tokenizer


@pytest.mark.parametrize("setting", ["scores[0].model", "critic.path", "reference.path"])
def test_inv41_neither_critic_nor_reference_reads_ids_of_another_tokenizer(tmp_path, words, capsys, setting):
    tokenizer = renumbered(tiny_tokenizer())
    model = tiny_gpt2(tokenizer) if setting == "reference.path" else tiny_reward_model(tokenizer)
    save_model(model, tokenizer, tmp_path / "other")
    more = {
        "scores[0].model": f"scores=[{{model: {tmp_path}/other}}]",
        "critic.path": f"critic.path={tmp_path}/other",
        "reference.path": f"reference={{path: {tmp_path}/other}}",
    }[setting]
    assert run_main(main, lay_over(words, more, "ppo.num_updates=1")) != 0
    said = capsys.readouterr().err
    assert setting in said
    assert "numbers tokens otherwise than the policy" in said
    assert ("critic.init_from=policy or trunk" in said) == (setting != "reference.path")


def test_a_critic_of_a_tokenizer_without_the_policys_end_token_says_what_to_set(tmp_path, words, capsys):
    tokenizer = gpt2_like()
    tokenizer.pad_token = tokenizer.eos_token
    save_model(tiny_reward_model(tokenizer), tokenizer, tmp_path / "other")
    assert run_main(main, lay_over(words, f"scores=[{{model: {tmp_path}/other}}]")) == 2
    said = capsys.readouterr().err
    assert "scores[0].model: " in said
    assert "whose ids the critic would read; set critic.init_from=policy or trunk" in said
