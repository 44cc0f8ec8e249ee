"""Logs of steps in the bucket of the store, with Dagster's own client (boto3)."""

from __future__ import annotations

import os
from typing import Self

import boto3
from dagster_aws.s3 import S3ComputeLogManager

from sdg_assets.cluster.tickless_logs import FOLDER, WithoutTicks
from sdg_assets.dagster_internals import ConfigurableClassData

UPLOAD_SECONDS = 30
"""A pod that is killed loses at most the output of so many seconds."""


class BucketLogs(WithoutTicks, S3ComputeLogManager):
    """Uploads the output of a step while it runs and at its end."""

    @classmethod
    def below(cls, bucket: str, prefix: str, inst_data: ConfigurableClassData) -> Self:
        """Logs below a prefix of a bucket, with the endpoint, region and key of the store.

        Args:
            bucket: The bucket.
            prefix: The store's own prefix; empty: it has none.
            inst_data: The configuration that Dagster read.
        """
        # boto3 knows the variable AWS_DEFAULT_REGION alone, the store's client AWS_REGION as well.
        if region := os.environ.get("AWS_REGION"):
            boto3.setup_default_session(region_name=region)
        # Given, and not left to boto3: then it puts the bucket into the path, not into the host.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return cls(
            bucket,
            prefix=f"{prefix}/{FOLDER}",
            endpoint_url=endpoint,
            skip_empty_files=True,
            upload_interval=UPLOAD_SECONDS,
            inst_data=inst_data,
        )
