"""The page in a browser, with a real device behind it."""
