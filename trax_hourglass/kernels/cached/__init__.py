"""Attention in mode `'predict'`, to keys and values cached by earlier calls."""
