"""Attention types, and the interface by which a model calls them."""
