"""Attention types, and how a model calls one."""
