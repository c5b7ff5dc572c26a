"""The arithmetic of RLHF: pure functions of tensors and numbers that need nothing but torch.

Axes are named once and used everywhere: B sequences, K ranked responses, R response tokens, T tokens, V
vocabulary. Masks are boolean and True means "counts". Log-probabilities are in nats.
"""
