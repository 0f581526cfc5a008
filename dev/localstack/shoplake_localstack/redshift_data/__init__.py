"""The Redshift Data API on PostgreSQL: translation of SQL, COPY of Parquet, statements that run by
themselves.
"""

WAREHOUSE_URL = "SHOPLAKE_WAREHOUSE_URL"
"""The environment variable with the PostgreSQL to use."""
