"""A LocalStack extension for machines without Docker and Java.

`functions` runs Lambda packages as processes of this machine, `firehose` delivers Kinesis streams
to S3, `redshift_data` serves the Redshift Data API on a PostgreSQL, and `local` starts and ends the
processes of a local cloud.
"""

__version__ = "0.1.0"
