"""Entry points by which LocalStack finds the services; they import lazily, as LocalStack's own do."""

from localstack.services.plugins import Service, aws_provider


@aws_provider(api="firehose", name="shoplake")
def firehose() -> Service:
    """Chosen with `PROVIDER_OVERRIDE_FIREHOSE=shoplake`."""
    from .firehose.provider import Provider

    return Service.for_provider(Provider())


@aws_provider(api="redshift-data")
def redshift_data() -> Service:
    """LocalStack's community edition has no such service, so this is the default."""
    from .redshift_data.provider import Provider

    return Service.for_provider(Provider.from_environment())
