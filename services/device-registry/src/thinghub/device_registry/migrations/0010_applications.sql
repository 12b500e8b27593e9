-- Applications: many devices asked for in one call, made by a worker in portions. No secret is stored here.

ALTER TABLE device ADD COLUMN sn text NOT NULL DEFAULT '';

CREATE TABLE application (
    apply_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_key text NOT NULL REFERENCES product ON DELETE CASCADE,
    state text NOT NULL,
    created_ms bigint NOT NULL
);

CREATE INDEX application_running ON application (apply_id) WHERE state = 'running';
CREATE INDEX application_by_age ON application (created_ms);

CREATE TABLE application_device (
    apply_id bigint NOT NULL REFERENCES application ON DELETE CASCADE,
    number integer NOT NULL,
    device_name text NOT NULL,
    nickname text NOT NULL,
    sn text NOT NULL,
    -- Chosen when the application is stored, so that making the device twice makes the same one.
    iot_id text NOT NULL,
    made boolean NOT NULL DEFAULT false,
    -- Why the device is not made; empty for one that is or will be.
    refused text NOT NULL DEFAULT '',
    message text NOT NULL DEFAULT '',
    PRIMARY KEY (apply_id, number)
);

CREATE INDEX application_pending ON application_device (apply_id, number) WHERE NOT made AND refused = '';
