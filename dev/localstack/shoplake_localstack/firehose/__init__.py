"""Firehose delivery streams to S3 from a Kinesis stream or direct puts, with AWS's buffering,
compression and names.
"""
