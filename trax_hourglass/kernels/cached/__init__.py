"""Attention in mode `'predict'`: to the keys and values of earlier calls."""
