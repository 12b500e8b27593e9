-- Days of history of products that keep less than the platform does.

CREATE TABLE product_retention (
    product_key text PRIMARY KEY,
    days integer NOT NULL CHECK (days > 0)
);
