"""The subjects of `python -m trax_hourglass.benchmark`, and their reports."""
