-- Which sub-device stands behind which gateway: a device behind one at most.

CREATE TABLE topology (
    product_key text NOT NULL,
    device_name text NOT NULL,
    gateway_key text NOT NULL,
    gateway_name text NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (product_key, device_name),
    FOREIGN KEY (product_key, device_name) REFERENCES device ON DELETE CASCADE,
    FOREIGN KEY (gateway_key, gateway_name) REFERENCES device ON DELETE CASCADE
);

CREATE INDEX topology_by_gateway ON topology (gateway_key, gateway_name, product_key, device_name);

-- The last message of the gateway that changed what stands behind it: one that came before it changes nothing. No
-- foreign key, as for device_tag_mark. Its row is the lock on a gateway's additions.
CREATE TABLE topology_mark (
    product_key text NOT NULL,
    device_name text NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (product_key, device_name)
);

-- What gateways are still to be told of changes: rows written with the change, removed once they were told.
CREATE TABLE topology_notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_key text NOT NULL,
    gateway_name text NOT NULL,
    product_key text NOT NULL,
    device_name text NOT NULL,
    -- Of thing/topo/change; NULL: the gateway asked for the change itself.
    status smallint,
    -- The sub-device's session ends if it began before at_ms.
    ends_session boolean NOT NULL,
    at_ms bigint NOT NULL
);
