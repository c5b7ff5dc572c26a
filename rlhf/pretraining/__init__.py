"""Base models from text, from scratch: GPT-2 goes on, T5 writes the rest of a beginning, BERT fills gaps."""
