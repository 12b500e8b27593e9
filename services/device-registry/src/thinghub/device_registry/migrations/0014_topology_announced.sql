-- The devices of an announced change of topology, as its message has them: a JSON array; empty for other announcements.

ALTER TABLE outbox ADD COLUMN members text NOT NULL DEFAULT '';
