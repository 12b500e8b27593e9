"""What a thing model may be, beside the rules of TSL itself."""

import json

import pytest

from thinghub.device_registry.domain.thing_models import imported
from thinghub.device_registry.errors import ThingModelInvalid


def test_a_tsl_that_its_built_in_functions_make_too_large_is_refused() -> None:
    enum = {"type": "enum", "specs": {str(number): "a long name of a value" * 2 for number in range(100)}}
    members = [{"identifier": f"p{n}", "name": f"p{n}", "accessMode": "rw", "dataType": enum} for n in range(60)]
    given = json.dumps({"properties": members})
    assert len(given) < 1 << 20
    with pytest.raises(ThingModelInvalid) as refused:
        imported("", "a1", given, "", "")
    assert refused.value.details["position"] == "$"
