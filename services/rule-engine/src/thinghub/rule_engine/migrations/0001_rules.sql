-- Rules and their actions. Ids are shown by the API; those given by an import are kept.
CREATE SEQUENCE rule_ids START 100000;
CREATE SEQUENCE action_ids START 100000;

CREATE TABLE rules (
    rule_id bigint PRIMARY KEY,
    instance_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    product_key text NOT NULL,
    short_topic text NOT NULL,
    select_text text NOT NULL,
    where_text text NOT NULL,
    data_type text NOT NULL,
    topic_type integer NOT NULL,
    running boolean NOT NULL,
    created_ms bigint NOT NULL,
    modified_ms bigint NOT NULL,
    CONSTRAINT rules_name UNIQUE (instance_id, name)
);

CREATE INDEX rules_by_age ON rules (instance_id, created_ms DESC, rule_id DESC);

CREATE TABLE actions (
    action_id bigint PRIMARY KEY,
    rule_id bigint NOT NULL REFERENCES rules ON DELETE CASCADE,
    type text NOT NULL,
    configuration text NOT NULL,
    -- what makes two actions of a rule the same
    fingerprint bytea NOT NULL,
    CONSTRAINT actions_once UNIQUE (rule_id, fingerprint)
);
