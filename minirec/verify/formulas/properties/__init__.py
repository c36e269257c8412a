"""What must hold of a formula: the properties of the entries, as far as they fill a file of their own.

`calling` and `weighted` hold what several families share; the rest is one file per family.
"""
