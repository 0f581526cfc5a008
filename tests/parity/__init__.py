"""Tests that Spark, by glue-sql/run_job.py, does what DataFusion does."""
