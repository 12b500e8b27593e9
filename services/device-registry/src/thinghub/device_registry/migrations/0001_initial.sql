-- Instances, products, devices, topic classes; the status projection; the outbox. No secret is stored here.

CREATE FUNCTION next_version(old bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT greatest(coalesce(old, 0) + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;

CREATE TABLE instance (
    instance_id text PRIMARY KEY,
    name text NOT NULL,
    created_ms bigint NOT NULL
);

INSERT INTO instance VALUES ('', 'default', (extract(epoch FROM clock_timestamp()) * 1000)::bigint);

CREATE TABLE product (
    product_key text PRIMARY KEY,
    instance_id text NOT NULL REFERENCES instance,
    name text NOT NULL,
    description text NOT NULL,
    node_type smallint NOT NULL,
    data_format smallint NOT NULL,
    auth_type text NOT NULL,
    net_type integer NOT NULL,
    protocol_type text NOT NULL,
    category_key text NOT NULL,
    commodity_code text NOT NULL,
    validate_type smallint NOT NULL,
    id2 boolean NOT NULL,
    lane smallint NOT NULL,
    not_stored boolean NOT NULL,
    -- As given: {} or members of Limits; zeros are the contract's defaults.
    limits jsonb NOT NULL,
    status text NOT NULL,
    created_ms bigint NOT NULL,
    -- Rises with every change of what gateways enforce: epoch microseconds, or one more than before.
    policy_version bigint NOT NULL,
    UNIQUE (instance_id, name)
);

CREATE INDEX product_by_age ON product (instance_id, created_ms, product_key);

CREATE TABLE topic_class (
    topic_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_key text NOT NULL REFERENCES product ON DELETE CASCADE,
    short_name text NOT NULL,
    operation text NOT NULL,
    description text NOT NULL,
    codec text NOT NULL,
    proxy_subscribe boolean NOT NULL,
    UNIQUE (product_key, short_name)
);

CREATE TABLE device (
    product_key text NOT NULL REFERENCES product,
    device_name text NOT NULL,
    iot_id text NOT NULL UNIQUE,
    nickname text NOT NULL,
    disabled boolean NOT NULL DEFAULT false,
    created_ms bigint NOT NULL,
    modified_ms bigint NOT NULL,
    PRIMARY KEY (product_key, device_name)
);

-- No foreign key: the row of a deleted device stays for two days, so that its epoch still fences late messages when the
-- name is registered again.
CREATE TABLE device_status (
    product_key text NOT NULL,
    device_name text NOT NULL,
    online boolean NOT NULL,
    activated_ms bigint NOT NULL,
    last_online_ms bigint NOT NULL,
    client_address text NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (product_key, device_name)
);

CREATE TABLE deleted_device (
    product_key text NOT NULL,
    device_name text NOT NULL,
    deleted_ms bigint NOT NULL,
    PRIMARY KEY (product_key, device_name)
);

CREATE INDEX deleted_device_by_age ON deleted_device (deleted_ms);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_key text NOT NULL,
    -- Empty for an announcement about the product's policy.
    device_name text NOT NULL,
    action text NOT NULL,
    iot_id text NOT NULL,
    at_ms bigint NOT NULL
);
