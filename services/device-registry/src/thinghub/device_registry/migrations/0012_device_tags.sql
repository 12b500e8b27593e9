-- Tags of devices: users' in the domain '', what SDKs report in 'SYSTEM'.

CREATE TABLE device_tag (
    product_key text NOT NULL,
    device_name text NOT NULL,
    domain text NOT NULL,
    tag_key text NOT NULL,
    tag_value text NOT NULL,
    PRIMARY KEY (product_key, device_name, domain, tag_key),
    FOREIGN KEY (product_key, device_name) REFERENCES device ON DELETE CASCADE
);

-- The last message of the device that changed its tags: one that came before it changes nothing. No foreign key, as for
-- device_status: it fences late messages when the name is registered again. Its row is the lock on a device's tags.
CREATE TABLE device_tag_mark (
    product_key text NOT NULL,
    device_name text NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (product_key, device_name)
);
