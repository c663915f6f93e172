"""Chip definitions: one YAML file per chip, its sources cited."""
