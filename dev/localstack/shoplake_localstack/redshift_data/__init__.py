"""The Redshift Data API on PostgreSQL: translates SQL, copies Parquet, runs statements in the
background.
"""

WAREHOUSE_URL = "SHOPLAKE_WAREHOUSE_URL"
"""The environment variable with the URL of the PostgreSQL."""
