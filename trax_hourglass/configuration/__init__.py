"""Shared by the commands: flags, gin files, errors, output directories."""
