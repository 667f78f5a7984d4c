"""The paper's experiments in small: runs, what they show, and the page."""
