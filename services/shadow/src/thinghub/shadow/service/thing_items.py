"""Values that servers want properties to have."""

import orjson

from thinghub.device_protocol.tsl.validator import WHY
from thinghub.shadow.domain.thing_models import Strictness, ThingModel
from thinghub.shadow.domain.thing_posts import MAX_PROPERTIES, writable
from thinghub.shadow.errors import PropertiesInvalid


def settable(items: str, model: ThingModel) -> dict[str, object]:
    """The members of a JSON object, each a writable property with a value that is good. Raises PropertiesInvalid."""
    try:
        values = orjson.loads(items)
    except orjson.JSONDecodeError as error:
        raise PropertiesInvalid("Items is not JSON") from error
    if not isinstance(values, dict) or not 1 <= len(values) <= MAX_PROPERTIES:
        raise PropertiesInvalid(f"Items is an object of 1 to {MAX_PROPERTIES} properties")
    for identifier, value in values.items():
        known = model.validator.properties.get(identifier)
        if known is None or not known.writable:
            raise PropertiesInvalid(f"{identifier[:101]} is no property that can be set")
        if model.strictness is not Strictness.NONE and (code := model.validator.value(identifier, value)):
            raise PropertiesInvalid(f"{WHY[code]}: {identifier}")
        if not writable(value):
            raise PropertiesInvalid(f"{identifier} is nested too deep")
    return values
