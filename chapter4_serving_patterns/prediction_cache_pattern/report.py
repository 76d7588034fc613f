"""What the metrics say of the cache."""

from prometheus_client import CollectorRegistry, Counter

from .cache import Answer, Result

REASONS = ("down", "slow", "full", "refused", "large")


class Report:
    """Counts, which are there with 0 before anything happens, so that a rate is right from the first event on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        answers = Counter("prediction_cache_answers", "Answers, by X-Cache.", ["result"], registry=registry)
        bypasses = Counter("prediction_cache_bypasses", "Answers without the cache.", ["reason"], registry=registry)
        self._answers = {result: answers.labels(result) for result in Result}
        self._bypasses = {reason: bypasses.labels(reason) for reason in REASONS}
        self._calls = Counter("prediction_cache_model_calls", "Pictures sent to the model.", registry=registry)

    def answered(self, answer: Answer) -> None:
        """One request has its answer."""
        self._answers[answer.result].inc()
        if answer.reason:
            self._bypasses[answer.reason].inc()

    def called(self) -> None:
        """The model is asked."""
        self._calls.inc()
