"""Benchmarks, and the reproduction of the paper: no part of the library."""
