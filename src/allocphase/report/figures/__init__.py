"""The static figures: one a module, and the catalogue that names and draws them.

Nothing is imported here: matplotlib must first be told where to keep its list of fonts (fonts.py).
"""
