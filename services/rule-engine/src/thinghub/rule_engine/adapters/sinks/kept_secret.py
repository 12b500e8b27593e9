"""A named secret that a sink works by: asked for again every minute and after a failure, kept while auth is away."""

import time

from thinghub.common.errors import Fault, Unavailable
from thinghub.rule_engine.errors import SecretNotFound
from thinghub.rule_engine.ports.secrets import Secret, Secrets
from thinghub.rule_engine.ports.sinks import SinkDown

SECRET_SECONDS = 60.0


class KeptSecret:
    """`member` is the configuration's member that names it, for faults."""

    def __init__(self, secrets: Secrets, instance_id: str, name: str, member: str) -> None:
        self._secrets = secrets
        self._instance_id = instance_id
        self._name = name
        self._member = member
        self._secret: Secret | None = None
        self._asked_at = 0.0

    async def required(self) -> Secret:
        """As it is now. Raises SecretNotFound, Unavailable."""
        try:
            found = await self._secrets.resolve(self._instance_id, self._name)
        except Unavailable:
            raise
        except Fault as error:
            raise Unavailable(f"the secret {self._name!r} could not be read: {error.message}") from error
        if found is None:
            raise SecretNotFound(f"there is no secret {self._name!r}", position=self._member)
        self._secret, self._asked_at = found, time.monotonic()
        return found

    async def current(self) -> Secret:
        """At most a minute old, older while auth is away. Raises SinkDown."""
        if self._secret is not None and time.monotonic() - self._asked_at <= SECRET_SECONDS:
            return self._secret
        try:
            return await self.required()
        except Unavailable as error:
            if self._secret is None:
                raise SinkDown(error.message) from error
            return self._secret
        except SecretNotFound as error:
            raise SinkDown(error.message) from error

    def doubt(self) -> None:
        """Something that it opens did not open: it may have changed."""
        self._asked_at = 0.0
