"""A small text that tokenizers and models are made of."""

TEXTS = [
    f"The baker number {n} lives in the red house near the river and sells warm bread." for n in range(120)
]
