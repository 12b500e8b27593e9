-- Every secret column is AES-256-GCM ciphertext under the master key named beside it.

CREATE TABLE device_credential (
    product_key text NOT NULL,
    device_name text NOT NULL,
    iot_id text NOT NULL,
    disabled boolean NOT NULL DEFAULT false,
    -- Kept for a day as a fence for older cache writes; then purged.
    deleted boolean NOT NULL DEFAULT false,
    -- Rises with every change: epoch microseconds, or one more than before.
    version bigint NOT NULL,
    key_id text,
    ciphertext bytea,
    PRIMARY KEY (product_key, device_name),
    CHECK (deleted = (ciphertext IS NULL) AND deleted = (key_id IS NULL))
);

CREATE INDEX device_credential_changes ON device_credential (version, product_key, device_name);

CREATE TABLE product_secret (
    product_key text PRIMARY KEY,
    key_id text NOT NULL,
    ciphertext bytea NOT NULL
);

CREATE TABLE access_key (
    access_key_id text PRIMARY KEY,
    role smallint NOT NULL,
    instance_id text NOT NULL,
    description text NOT NULL,
    created_ms bigint NOT NULL,
    key_id text NOT NULL,
    ciphertext bytea NOT NULL
);

CREATE TABLE named_secret (
    instance_id text NOT NULL,
    name text NOT NULL,
    version bigint NOT NULL,
    modified_ms bigint NOT NULL,
    key_id text NOT NULL,
    ciphertext bytea NOT NULL,
    PRIMARY KEY (instance_id, name)
);

CREATE FUNCTION next_version(old bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT greatest(coalesce(old, 0) + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;
