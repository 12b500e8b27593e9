"""Product secrets: what devices of a product register themselves with."""

from thinghub.auth.domain.sealing import Place
from thinghub.auth.errors import RequestInvalid


def place(product_key: str) -> Place:
    return ("product", product_key)


def check_product_key(product_key: str) -> None:
    if not 1 <= len(product_key) <= 128 or not product_key.isprintable():
        raise RequestInvalid("a product key has 1 to 128 printable characters")
