"""python -m tools.contract docs/reference/contract.md writes the page."""

import argparse
from pathlib import Path

from thinghub.api_gateway.service.table import OPERATIONS
from thinghub.device_protocol.topics import TOPICS
from tools.contract.page import render

parser = argparse.ArgumentParser(prog="python -m tools.contract", description="Writes the contract, row by row.")
parser.add_argument("page", type=Path)
parser.parse_args().page.write_text(render(TOPICS, OPERATIONS))
