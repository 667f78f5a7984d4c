"""What `python -m trax_hourglass.benchmark` measures, and its reports."""
