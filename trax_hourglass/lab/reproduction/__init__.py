"""The paper's experiments in small: runs, verdicts and the page."""
