"""Coursework: stubs, checks, diagnosis and grading. `python -m minirec exercise` is the way in."""
