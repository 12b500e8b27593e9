-- What servers asked devices to do, and what they answered: one row a call, from the moment it is sent. A partition a day
-- of the call's time, as of the posts. `message_id` is the id in the message, which counts up by device; the day beside it
-- keeps rows apart should the count ever begin anew.

CREATE TABLE service_call (
    product_key text NOT NULL,
    device_name text NOT NULL,
    received_ms bigint NOT NULL,
    message_id bigint NOT NULL,
    -- Of the thing model; `set` for a property set.
    identifier text NOT NULL,
    name text NOT NULL,
    input text NOT NULL,
    -- All three NULL until the device answers; its first answer stays.
    replied_ms bigint,
    code integer,
    output text,
    PRIMARY KEY (product_key, device_name, message_id, received_ms)
) PARTITION BY RANGE (received_ms);

CREATE INDEX service_call_by_time ON service_call (product_key, device_name, received_ms);
