"""An assignment as an instructor writes it, and what students hand in, for the test of the graders. See assignment.py."""
