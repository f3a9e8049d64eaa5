"""Report of a fit: a summary of a few lines, the same facts as JSON, and one self-contained HTML page.

To add a fact, give `FitReport` (`facts.py`) a field, and let `fit` fill it in. To show it, write one function that
takes the report and the gallery (`gallery.py`: pictures that the page shows) and returns the HTML of a section, or ""
where there is nothing to show, in a module of this room, and put it into `SECTIONS` (`page.py`). `export/html.py` has
the building blocks. For a line of the summary, add a row in `rows` (`summary.py`).
"""
