"""Filters: text → tokens → syntax tree → `projections.query.Filter`, names, words and types checked on the way."""
