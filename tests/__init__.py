"""Everything that tests the pipeline as a whole, and runs it on a laptop."""
