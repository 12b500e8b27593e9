-- What devices reported, one row a post, a partition a day (made by the service ahead of time, dropped past retention).
-- Times are epoch milliseconds. The primary key makes a repeated write the same row.

CREATE TABLE property_post (
    product_key text NOT NULL,
    device_name text NOT NULL,
    received_ms bigint NOT NULL,
    message_id bigint NOT NULL,
    -- Newest time of a value in the post.
    last_ms bigint NOT NULL,
    identifiers text[] NOT NULL,
    -- {identifier: [[value, time], ...]}
    items text NOT NULL,
    PRIMARY KEY (product_key, device_name, received_ms, message_id)
) PARTITION BY RANGE (received_ms);

CREATE INDEX property_post_by_time ON property_post (product_key, device_name, last_ms);

CREATE TABLE event_post (
    product_key text NOT NULL,
    device_name text NOT NULL,
    received_ms bigint NOT NULL,
    message_id bigint NOT NULL,
    time_ms bigint NOT NULL,
    identifier text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (product_key, device_name, received_ms, message_id)
) PARTITION BY RANGE (received_ms);

CREATE INDEX event_post_by_time ON event_post (product_key, device_name, time_ms);
