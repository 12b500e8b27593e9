"""FC: an output becomes one POST to an HTTP function, a CloudEvent signed with a secret.

A batch goes over a few connections at once, which stay open for the next. At the first answer that means the function
is away nothing more is begun; what it answered before that counts, so a function that takes less than it is given gets
on all the same. What it took is remembered for a while: an output whose caller had stopped waiting for a slow answer
comes again, and need not be sent again.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence

import orjson

from thinghub.rule_engine.adapters.sinks.http_exchange import AddressRefused, Answer, Broken, Connection, addresses
from thinghub.rule_engine.adapters.sinks.kept_secret import KeptSecret
from thinghub.rule_engine.domain import cloudevents
from thinghub.rule_engine.domain.configurations import Function
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.sql.kinds import ValueKind
from thinghub.rule_engine.domain.urls import Network
from thinghub.rule_engine.errors import SinkUnreachable, TargetRefused
from thinghub.rule_engine.ports.secrets import Secrets
from thinghub.rule_engine.ports.sinks import SinkDown

_AWAY = (408, 429)
_PENDING = "pending"  # no answer yet; never leaves this file
_SHOWN = 200
_REMEMBERED = 10_000


class FunctionSinks:
    """`allowed` networks may be connected to although they are refused otherwise; `deadline_s` bounds one request with
    its connect; `concurrency` is the connections of one action."""

    def __init__(
        self, secrets: Secrets, allowed: Sequence[Network], concurrency: int, deadline_s: float, tls: ssl.SSLContext
    ) -> None:
        self._secrets = secrets
        self._allowed = allowed
        self._concurrency = concurrency
        self._deadline_s = deadline_s
        self._tls = tls

    async def check(self, instance_id: str, configuration: Function, fields: Mapping[str, ValueKind]) -> None:
        """Nothing is sent. Raises SecretNotFound, TargetRefused, SinkUnreachable (the name is not known), Unavailable
        (auth)."""
        if configuration.hmac_ref:
            await KeptSecret(self._secrets, instance_id, configuration.hmac_ref, "hmac_ref").required()
        try:
            async with asyncio.timeout(self._deadline_s):
                await addresses(configuration.url, self._allowed)
        except AddressRefused as error:
            raise TargetRefused(str(error), position="url") from error
        except (OSError, UnicodeError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise SinkUnreachable(f"the host could not be resolved: {reason}", position="url") from error

    def open(self, instance_id: str, configuration: Function) -> "FunctionSink":
        name = configuration.hmac_ref
        secret = KeptSecret(self._secrets, instance_id, name, "hmac_ref") if name else None
        return FunctionSink(configuration, secret, self._allowed, self._concurrency, self._deadline_s, self._tls)


class FunctionSink:
    def __init__(
        self,
        configuration: Function,
        secret: KeptSecret | None,
        allowed: Sequence[Network],
        concurrency: int,
        deadline_s: float,
        tls: ssl.SSLContext,
    ) -> None:
        self._url = configuration.url
        self._secret = secret
        self._allowed = allowed
        self._concurrency = concurrency
        self._deadline_s = deadline_s
        self._tls = tls
        self._idle: list[Connection] = []
        self._taken: dict[int, None] = {}  # derived ids, oldest first

    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        key = (await self._secret.current()).value if self._secret else None
        answers: list[str | None] = [_PENDING] * len(outputs)
        waiting = iter(range(len(outputs)))
        down: list[SinkDown] = []

        async def work() -> None:
            for index in waiting:  # shared: each index is taken by one worker
                try:
                    answers[index] = await self._post(outputs[index], key)
                except SinkDown as error:
                    down.append(error)
                if down:
                    return

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._concurrency, len(outputs))):
                workers.create_task(work())
        if down:
            known = answers.index(_PENDING)
            raise SinkDown(str(down[0]), answers[:known])
        return answers

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _post(self, output: Output, key: str | None) -> str | None:
        """None when the function took it, else why it refused. Raises SinkDown."""
        message_id = derived_id(output)
        if message_id in self._taken:
            return None
        body = orjson.dumps(output.result)
        headers = [*cloudevents.headers(output), ("User-Agent", "thinghub-rule-engine")]
        if key is not None:
            headers += cloudevents.signature(key, body, int(time.time()))
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._exchange(headers, body)
        except TimeoutError as error:
            raise SinkDown("the function did not answer in time") from error
        except (AddressRefused, Broken, OSError, UnicodeError) as error:
            raise SinkDown(str(error) or type(error).__name__) from error
        if (refusal := _verdict(answer)) is None:
            self._remember(message_id)
        return refusal

    def _remember(self, message_id: int) -> None:
        if len(self._taken) >= _REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[message_id] = None

    async def _exchange(self, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """On a connection that was kept, or a new one when the function has closed that in the meantime."""
        while self._idle:
            try:
                return await self._on(self._idle.pop(), headers, body)
            except Broken as error:
                if not error.unused:
                    raise
        return await self._on(await Connection.open(self._url, self._allowed, self._tls), headers, body)

    async def _on(self, connection: Connection, headers: list[tuple[str, str]], body: bytes) -> Answer:
        try:
            return await connection.post(self._url, headers, body)
        finally:
            if connection.reusable and len(self._idle) < self._concurrency:
                self._idle.append(connection)
            else:
                connection.close()


def _verdict(answer: Answer) -> str | None:
    status = answer.status
    if 200 <= status < 300:
        return None
    shown = f"HTTP {status} {answer.body[:_SHOWN].decode('utf-8', 'replace')}".rstrip()
    if status in _AWAY or not 400 <= status < 500:
        raise SinkDown("redirects are not followed: " + shown if 300 <= status < 400 else shown)
    return shown
