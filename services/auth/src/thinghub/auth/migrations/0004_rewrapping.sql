-- Which records a master key still opens, and those records in order.

CREATE INDEX device_credential_key ON device_credential (key_id, product_key, device_name);
CREATE INDEX device_credential_former_key ON device_credential (former_key_id, product_key, device_name)
    WHERE former_key_id IS NOT NULL;

-- Which master key each running process seals with. Nothing is sealed anew while two of them disagree.
CREATE TABLE sealing_process (
    process text PRIMARY KEY,
    active_key text NOT NULL,
    seen_ms bigint NOT NULL
);
