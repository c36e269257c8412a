"""Interactions, the interaction matrix, splits, loaders, the synthetic shop and small classic data sets."""
