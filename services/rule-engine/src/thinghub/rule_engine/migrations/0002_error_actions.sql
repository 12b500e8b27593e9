-- The action that is told what the others of its rule could not do: one a rule.
ALTER TABLE actions ADD COLUMN error_action boolean NOT NULL DEFAULT false;

CREATE UNIQUE INDEX actions_one_error ON actions (rule_id) WHERE error_action;
