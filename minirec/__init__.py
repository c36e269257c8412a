"""minirec: a Transformer recommender in pure NumPy that can be read, checked and changed.

Every formula is a forward function with its backward function beside it (`minirec.functional`); layers,
recommenders, metrics and evaluation stand on top of it.
"""

__version__ = "0.1.0"
