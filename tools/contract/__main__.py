"""python -m tools.contract docs/reference/contract.md writes the page."""

import sys
from pathlib import Path

from thinghub.api_gateway.service.table import OPERATIONS
from thinghub.device_protocol.topics import TOPICS
from tools.contract.page import render

Path(sys.argv[1]).write_text(render(TOPICS, OPERATIONS))
