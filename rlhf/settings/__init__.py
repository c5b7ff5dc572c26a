"""Typed settings: one schema a stage, filled from defaults, a YAML file and the command line."""
