"""Tests that Spark, by glue-sql/spark/run_job.py, does what DataFusion does."""
