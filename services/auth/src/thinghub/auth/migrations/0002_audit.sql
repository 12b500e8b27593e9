-- Who changed what by the API. No column holds a secret or a payload.

CREATE TABLE audit_record (
    record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time_ms bigint NOT NULL,
    access_key_id text NOT NULL,
    instance_id text NOT NULL,
    action text NOT NULL,
    target jsonb NOT NULL,
    request_id text NOT NULL,
    face text NOT NULL,
    source_address text NOT NULL,
    trace_id text NOT NULL,
    -- Empty and 0 until the call's outcome is told.
    code text NOT NULL DEFAULT '',
    finished_ms bigint NOT NULL DEFAULT 0
);

CREATE INDEX audit_record_time ON audit_record (time_ms);
CREATE INDEX audit_record_caller ON audit_record (access_key_id, record_id);
CREATE INDEX audit_record_device ON audit_record ((target ->> 'ProductKey'), (target ->> 'DeviceName'), record_id);
