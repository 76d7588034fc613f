import pytest

from mlsys import errors
from mlsys.errors import ErrorCode, MlsysError, ServiceError, StartupError, TooManyRequests


def service_errors() -> list[type[ServiceError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and kind in ServiceError.__subclasses__()]


def test_each_kind_of_service_error_has_a_status_and_a_code_of_its_own() -> None:
    kinds = service_errors()
    assert len({kind.code for kind in kinds}) == len(kinds) >= 10
    assert all(400 <= kind.status <= 504 for kind in kinds)


def test_every_code_is_snake_case_and_named_as_its_constant() -> None:
    assert all(code.value == code.name.lower() for code in ErrorCode)


def test_errors_that_leave_a_body_unread_close_the_connection() -> None:
    closing = {kind.status for kind in service_errors() if ("connection", "close") in kind.headers}
    assert closing == {408, 413}


def test_every_503_says_when_to_come_back() -> None:
    assert all(("retry-after", "1") in kind.headers for kind in service_errors() if kind.status == 503)


@pytest.mark.parametrize(("wait_s", "header"), [(0.0, "1"), (0.2, "1"), (1.5, "2"), (60.0, "60")])
def test_a_429_says_in_whole_seconds_when_to_come_back(wait_s: float, header: str) -> None:
    assert dict(TooManyRequests("full", retry_after_s=wait_s).headers) == {"retry-after": header}


def test_a_reason_not_to_start_is_never_an_answer() -> None:
    assert not issubclass(StartupError, ServiceError)
    assert issubclass(StartupError, MlsysError)
