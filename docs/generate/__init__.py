"""Writes pages of docs/reference from the code: `make reference`, or `python -m docs.generate`.

A page is a template in `pages`, written by hand, whose marks `{{ name words }}` are replaced by what the code says.
"""
