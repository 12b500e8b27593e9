-- Thing models: one draft a product, and what was published. The versions rise over the whole life of a product key, so
-- that a product that is made anew under it never has an older one.

CREATE TABLE thing_model_draft (
    product_key text PRIMARY KEY REFERENCES product ON DELETE CASCADE,
    tsl text NOT NULL
);

CREATE TABLE thing_model_version (
    product_key text NOT NULL REFERENCES product ON DELETE CASCADE,
    version bigint NOT NULL,
    model_version text NOT NULL,
    description text NOT NULL,
    tsl text NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (product_key, version),
    UNIQUE (product_key, model_version)
);
