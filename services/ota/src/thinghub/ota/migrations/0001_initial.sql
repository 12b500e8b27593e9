-- Where packages are put; `stored_ms` is 0 until one is there.
CREATE TABLE upload (
    key text PRIMARY KEY,
    instance_id text NOT NULL,
    created_ms bigint NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    md5 text NOT NULL DEFAULT '',
    sha256 text NOT NULL DEFAULT '',
    stored_ms bigint NOT NULL DEFAULT 0
);

CREATE TABLE firmware (
    firmware_id text PRIMARY KEY,
    instance_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    product_key text NOT NULL,
    module text NOT NULL,
    dest_version text NOT NULL,
    src_version text NOT NULL,
    type integer NOT NULL,
    sign_method text NOT NULL,
    sign text NOT NULL,
    md5 text NOT NULL,
    size bigint NOT NULL,
    key text NOT NULL UNIQUE REFERENCES upload,
    need_to_verify boolean NOT NULL,
    udi text NOT NULL,
    created_ms bigint NOT NULL,
    modified_ms bigint NOT NULL
);

-- `cursor` and `expanded`: how far the devices of the job have got their tasks.
CREATE TABLE job (
    job_id text PRIMARY KEY,
    instance_id text NOT NULL,
    firmware_id text NOT NULL REFERENCES firmware,
    product_key text NOT NULL,
    module text NOT NULL,
    dest_version text NOT NULL,
    target_selection text NOT NULL,
    src_versions text[] NOT NULL,
    overwrite_mode integer NOT NULL,
    timeout_minutes integer NOT NULL,
    need_push boolean NOT NULL,
    tags jsonb NOT NULL,
    status text NOT NULL,
    cancel_asked boolean NOT NULL DEFAULT false,
    cursor text NOT NULL DEFAULT '',
    expanded boolean NOT NULL,
    created_ms bigint NOT NULL,
    modified_ms bigint NOT NULL,
    scheduled_ms bigint NOT NULL,
    started_ms bigint NOT NULL DEFAULT 0,
    ended_ms bigint NOT NULL DEFAULT 0
);
CREATE INDEX job_open ON job (job_id) WHERE status IN ('PLANNED', 'IN_PROGRESS');

-- `push_ms`: when the device is to be told (next); null: when it comes online, or never.
CREATE TABLE task (
    product_key text NOT NULL,
    device_name text NOT NULL,
    job_id text NOT NULL REFERENCES job,
    task_id text NOT NULL UNIQUE,
    iot_id text NOT NULL,
    firmware_id text NOT NULL,
    module text NOT NULL,
    src_version text NOT NULL,
    dest_version text NOT NULL,
    status text NOT NULL,
    description text NOT NULL DEFAULT '',
    progress integer NOT NULL DEFAULT 0,
    timeout_minutes integer NOT NULL,
    need_push boolean NOT NULL,
    push_ms bigint,
    deadline_ms bigint,
    created_ms bigint NOT NULL,
    modified_ms bigint NOT NULL,
    PRIMARY KEY (product_key, device_name, job_id)
);
-- A device works on one upgrade of a module at a time.
CREATE UNIQUE INDEX task_one_open ON task (product_key, device_name, module)
    WHERE status IN ('QUEUED', 'NOTIFIED', 'IN_PROGRESS');
CREATE INDEX task_of_job ON task (job_id, device_name);
CREATE INDEX task_open_of_job ON task (job_id) WHERE status IN ('QUEUED', 'NOTIFIED', 'IN_PROGRESS');
CREATE INDEX task_due ON task (push_ms) WHERE push_ms IS NOT NULL;
CREATE INDEX task_deadline ON task (deadline_ms) WHERE deadline_ms IS NOT NULL;

-- The fence: what came last of a device. Messages at or below it change nothing (a replay, a consumer that was frozen).
CREATE TABLE device (
    product_key text NOT NULL,
    device_name text NOT NULL,
    iot_id text NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,
    online_epoch bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (product_key, device_name)
);

CREATE TABLE module_version (
    product_key text NOT NULL,
    device_name text NOT NULL,
    module text NOT NULL,
    version text NOT NULL,
    modified_ms bigint NOT NULL,
    PRIMARY KEY (product_key, device_name, module)
);

-- What is to be said on ota.data: written with the change it is about.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_key text NOT NULL,
    device_name text NOT NULL,
    topic text NOT NULL,
    body text NOT NULL,
    at_ms bigint NOT NULL
);

-- What upload policies and download URLs are signed with; made at the first start, one for all replicas.
CREATE TABLE signing_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL
);
