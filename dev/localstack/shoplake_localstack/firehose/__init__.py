"""Firehose delivery streams to S3: from a Kinesis stream or direct puts, buffered, compressed,
named as AWS names them.
"""
