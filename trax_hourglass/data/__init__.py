"""Texts as bytes, and their streams of (inputs, targets, loss weights)."""
