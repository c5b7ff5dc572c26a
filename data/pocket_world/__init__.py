"""Larkhaven: a small closed world whose truth a program can judge. See README.md in this folder."""
