"""Base models from text, from scratch: GPT-2 that goes on, T5 that answers a beginning, BERT that fills gaps."""
