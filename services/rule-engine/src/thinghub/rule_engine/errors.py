"""What the rule engine may tell a caller. One class a reason; details say where (`position`, `clause`, `ddl`)."""

from thinghub.common.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)


class SqlError(InvalidArgument):
    """The field list or the condition cannot be used; `position` counts characters from 1 within its clause."""

    reason = "sql_invalid"

    def __init__(self, message: str, at: int, clause: str = "") -> None:
        super().__init__(message, position=str(at + 1), clause=clause)
        self.at = at
        self.clause = clause

    def within(self, clause: str) -> "SqlError":
        """The same error, saying which part of the rule it is in and where."""
        return SqlError(f"{clause}, position {self.at + 1}: {self.message}", self.at, clause)


class RuleNotFound(NotFound):
    reason = "rule_not_found"


class RuleNameExists(AlreadyExists):
    reason = "rule_name_exists"


class RuleExists(AlreadyExists):
    reason = "rule_exists"


class RuleNameInvalid(InvalidArgument):
    reason = "rule_name_invalid"


class RuleIncomplete(FailedPrecondition):
    reason = "rule_incomplete"


class RuleRunning(FailedPrecondition):
    reason = "rule_running"


class RuleLimit(ResourceExhausted):
    reason = "rule_limit"


class TopicTypeUnsupported(InvalidArgument):
    reason = "topic_type_unsupported"


class TopicUnsupported(InvalidArgument):
    reason = "topic_unsupported"


class TopicInvalid(InvalidArgument):
    reason = "topic_invalid"


class DataTypeUnsupported(InvalidArgument):
    reason = "data_type_unsupported"


class PageInvalid(InvalidArgument):
    reason = "page_invalid"


class ActionNotFound(NotFound):
    reason = "action_not_found"


class ActionExists(AlreadyExists):
    reason = "action_exists"


class ActionLimit(ResourceExhausted):
    reason = "action_limit"


class ActionTypeUnsupported(InvalidArgument):
    reason = "action_type_unsupported"


class ErrorActionExists(AlreadyExists):
    reason = "error_action_exists"


class ActionConfigInvalid(InvalidArgument):
    """`position` names the member of the configuration, as a path."""

    reason = "action_config_invalid"


class SecretNotFound(NotFound):
    reason = "secret_not_found"


class TableNotFound(NotFound):
    reason = "table_not_found"


class TableUniqueMissing(FailedPrecondition):
    """`ddl` is the statement that would add what is missing."""

    reason = "table_unique_missing"


class KafkaTopicNotFound(NotFound):
    reason = "kafka_topic_not_found"


class TargetRefused(PermissionDenied):
    """An address that no operator allowed; `position` names the member."""

    reason = "target_refused"


class SinkUnreachable(FailedPrecondition):
    """The destination could not be looked at, so the action was not created."""

    reason = "sink_unreachable"


class ProductNotFound(NotFound):
    """It does not exist, or not in the rule's instance."""

    reason = "product_not_found"


class DescriptionInvalid(InvalidArgument):
    reason = "rule_description_invalid"


class RuleIdInvalid(InvalidArgument):
    reason = "rule_id_invalid"


class DeadLetterNotFound(NotFound):
    """It was removed with its rule or by age, or never was."""

    reason = "dead_letter_not_found"


class DeadLettersUnbounded(InvalidArgument):
    """Nothing says which dead letters are meant."""

    reason = "dead_letters_unbounded"
