"""Settings of auth: environment THINGHUB_AUTH_*, for the shared ones also THINGHUB_*."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_AUTH_"):
    parts: ClassVar[tuple[str, ...]] = ("redis", "postgres")

    rpc_listen: str = Field("127.0.0.1:9101", description="host:port or unix:///path")
    master_key_file: str = Field("", description="file of master keys, one <id>:<base64 or hex of 32 bytes> a line")
    master_key: SecretStr = Field(SecretStr(""), description="the same text; the file wins")
    bootstrap_access_key_id: str = Field("", description="first administrator, made when there is none")
    bootstrap_access_key_secret: SecretStr = SecretStr("")
    cache_days: float = Field(30.0, gt=0, le=3650, description="how long an unchanged credential stays in the cache")
    repair_seconds: float = Field(30.0, gt=0, le=3600, description="pause between cache repairs")
    key_fresh_seconds: float = Field(3.0, ge=0, le=5, description="how long a deleted key may still work elsewhere")
    key_stale_seconds: float = Field(300.0, ge=0, description="how long a known key works without PostgreSQL")
    audit_days: float = Field(400.0, gt=0, le=36500, description="how long records of API changes are kept")
    audit_purge_seconds: float = Field(600.0, gt=0, le=86400, description="pause between deletions of older ones")
    rewrap_seconds: float = Field(60.0, gt=0, le=86400, description="pause between rounds of sealing secrets anew")
    rewrap_agree_seconds: float = Field(
        60.0, gt=0, le=3600, description="nothing is sealed anew so long after a process with another first key"
    )
    rewrap_batch: int = Field(500, ge=1, le=2000, description="secrets sealed anew in one transaction")
    rewrap_pause_seconds: float = Field(0.2, ge=0, le=60, description="pause between two such transactions")

    @model_validator(mode="after")
    def _master_key_is_given(self) -> Self:
        if not self.master_key_file and not self.master_key.get_secret_value():
            raise ValueError(
                "no master key: set THINGHUB_AUTH_MASTER_KEY_FILE (or THINGHUB_AUTH_MASTER_KEY) to one or more lines "
                "<id>:<base64 of 32 random bytes>; there is no default, and without the key stored secrets are lost"
            )
        if bool(self.bootstrap_access_key_id) != bool(self.bootstrap_access_key_secret.get_secret_value()):
            raise ValueError("give both bootstrap_access_key_id and bootstrap_access_key_secret, or neither")
        return self
