-- Two secrets for a time: the one in force, and the former one until `former_until_ms`.

ALTER TABLE device_credential
    ADD COLUMN former_key_id text,
    ADD COLUMN former_ciphertext bytea,
    ADD COLUMN rotated_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN former_until_ms bigint NOT NULL DEFAULT 0,
    -- First proof by the new secret.
    ADD COLUMN adopted_ms bigint NOT NULL DEFAULT 0,
    ADD CHECK ((former_key_id IS NULL) = (former_ciphertext IS NULL));

CREATE INDEX device_credential_former ON device_credential (former_until_ms) WHERE former_ciphertext IS NOT NULL;
