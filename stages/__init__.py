"""One short script a stage: base, sft, reward, ppo, report. Run them as ``python -m stages.<name>``."""
