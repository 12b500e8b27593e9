from pathlib import Path

import pytest

from thinghub.ota.domain.places import Bucket, Directory, place_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("/var/lib/ota", Directory(Path("/var/lib/ota"))),
        ("packages", Directory(Path("packages").absolute())),
        ("file:///var/lib/o%20ta", Directory(Path("/var/lib/o ta"))),
        ("s3://packages", Bucket("packages")),
        ("s3://packages/", Bucket("packages")),
        ("s3://packages/fleet/a?region=eu-1", Bucket("packages", "fleet/a", region="eu-1")),
        ("s3://packages?endpoint=http://minio:9000/", Bucket("packages", endpoint="http://minio:9000")),
    ],
)
def test_place_is_read(url: str, place: Directory | Bucket) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("url", ["", "http://x/y", "file://host/x", "file:x", "s3://", "s3://a", "s3://Packages"])
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"are kept|file URL|bucket"):
        place_of(url)
