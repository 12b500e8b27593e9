"""How far re-sealing is, in metrics and health."""

from collections.abc import Sequence

from thinghub.auth.domain.master_keys import KeyUse, Kind
from thinghub.common.metrics import Metrics
from thinghub.common.runtime import Component


class ShownProgress:
    """Implements `Progress`."""

    def __init__(self, metrics: Metrics, master_keys: Component) -> None:
        self._sealed = metrics.gauge("sealed_records", "Secrets at rest by kind and master key", ("kind", "key"))
        self._resealed = metrics.counter("resealed_records", "Secrets sealed anew under the first key", ("kind",))
        self._master_keys = master_keys

    def counted(self, keys: Sequence[KeyUse]) -> None:
        for key in keys:
            for kind in Kind:
                self._sealed.labels(kind.value, key.key_id).set(key.records.get(kind, 0))

    def resealed(self, kind: Kind, count: int) -> None:
        self._resealed.labels(kind.value).inc(count)

    def lacking(self, sentence: str) -> None:
        if sentence:
            self._master_keys.fail(sentence)
        else:
            self._master_keys.ok()
