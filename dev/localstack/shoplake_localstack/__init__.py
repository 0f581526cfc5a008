"""A LocalStack extension for machines without Docker and Java.

`functions` runs Lambda packages as processes of this machine, `firehose` delivers Kinesis streams
to S3, `redshift_data` answers the Redshift Data API from a PostgreSQL, `local` starts and ends the
processes that make up a local cloud.
"""

__version__ = "0.1.0"
