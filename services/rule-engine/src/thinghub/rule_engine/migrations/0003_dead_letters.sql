-- Outputs that a sink refused for the last time, as the topic of dead letters told of them. The id is the one that sinks
-- know the output by, so an output that dies again after it was redriven is one row.
CREATE SEQUENCE dead_letter_positions;

CREATE TABLE dead_letters (
    dead_letter_id bigint PRIMARY KEY,
    -- rises with each death: the order of pages
    position bigint NOT NULL DEFAULT nextval('dead_letter_positions'),
    rule_id bigint NOT NULL REFERENCES rules ON DELETE CASCADE,
    action_id bigint NOT NULL,
    message_id bigint NOT NULL,
    product_key text NOT NULL,
    device_name text NOT NULL,
    topic text NOT NULL,
    received_ms bigint NOT NULL,
    qos integer NOT NULL,
    hops integer NOT NULL,
    traceparent text NOT NULL,
    body bytea NOT NULL,
    payload bytea NOT NULL,
    error text NOT NULL,
    tries integer NOT NULL,
    first_failed_ms bigint NOT NULL,
    died_ms bigint NOT NULL,
    redriven_ms bigint NOT NULL DEFAULT 0,
    redriven_times integer NOT NULL DEFAULT 0,
    -- where the bus has its last death: a record that comes again changes nothing
    bus_partition integer NOT NULL,
    bus_offset bigint NOT NULL
);

CREATE UNIQUE INDEX dead_letters_in_order ON dead_letters (position DESC);
CREATE INDEX dead_letters_of_rule ON dead_letters (rule_id, position DESC);
CREATE INDEX dead_letters_by_age ON dead_letters (died_ms);
