"""Tests of the pipeline as a whole, its infrastructure and its commands."""
