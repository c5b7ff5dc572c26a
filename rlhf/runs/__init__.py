"""A run's folder (settings, provenance, metrics, samples, checkpoints) and the console, the only voice."""
