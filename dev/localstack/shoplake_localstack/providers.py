"""LocalStack's entry points for the services, which import on demand as its own do."""

from localstack.services.plugins import Service, aws_provider


@aws_provider(api="firehose", name="shoplake")
def firehose() -> Service:
    """Returns the service that `PROVIDER_OVERRIDE_FIREHOSE=shoplake` selects."""
    from .firehose.provider import Provider

    return Service.for_provider(Provider())


@aws_provider(api="redshift-data")
def redshift_data() -> Service:
    """Returns the default service, which LocalStack's community edition lacks."""
    from .redshift_data.provider import Provider

    return Service.for_provider(Provider.from_environment())
