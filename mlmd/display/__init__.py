"""What people see of runs, artifacts and lineage: pictures, cards and tables. Plain values in, text, SVG and HTML out."""
