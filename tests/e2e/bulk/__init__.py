"""End-to-end tests: the deployed pipeline, fed and observed from outside."""
