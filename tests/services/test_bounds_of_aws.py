"""Responses that depend on settings which the servers of the other tests do not have."""

import pytest
from django.test import override_settings

from post3.access.callers import project_caller
from post3.errors import IllegalLocationConstraintException, InvalidRequest
from post3.models import Bucket
from post3.services import buckets

from ..stores import Store


@pytest.mark.parametrize(
    ("region", "named"), [(None, "unspecified"), ("us-east-1", "us-east-1"), ("eu-central-1", "eu-central-1")]
)
def test_create_bucket_in_another_region_accepts_only_that_region(tree: Store, region: str | None, named: str) -> None:
    with override_settings(POST3_REGION="eu-west-1"):
        with pytest.raises(IllegalLocationConstraintException, match=f"The {named} location constraint is incompatible"):  # B016
            buckets.create_bucket("other", project_caller(tree.owner), region)
        assert buckets.create_bucket("other", project_caller(tree.owner), "eu-west-1").region == "eu-west-1"
    assert sorted(Bucket.objects.values_list("name", flat=True)) == ["bucket", "other"]


def test_copy_of_a_source_larger_than_the_limit_is_refused(tree: Store) -> None:
    tree.put("k", 1001)
    wanted = "larger than the maximum allowable size for a copy source: 1000"  # B080
    with override_settings(POST3_MAX_BODY_SIZE=1000), pytest.raises(InvalidRequest, match=wanted):
        tree.copy("k", "copy")
    tree.copy("k", "copy")
    assert len(tree.read("copy")) == 1001
