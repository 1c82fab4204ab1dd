"""Asks Offergate whether an offer may be shown, and remembers the answer for as long as it holds.

What must stay true: only ELIGIBLE shows an offer. An error, a deadline, an answer that cannot tell and an
answer that has run out all hide it. No customer's id is in a log line.
"""

import logging
import threading
import time
from typing import NamedTuple

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

LOG = logging.getLogger("offers")

# How a connection is kept. A dead one is noticed within 40 s even if nobody says so, and a server that
# comes back is found within a second: grpc's own default is up to two minutes.
CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.primary_user_agent", "online-banking"),
]

# What a page can wait for an offer, all attempts together. It is said with each call: what this library
# makes of a `timeout` in the service config comes out more than a second too short (grpc/grpc#34547).
DEADLINE = 0.5

# Most answers that are kept; past it all are dropped, since all run out within seconds anyway.
MOST_KEPT = 10_000

# The longest time for which a busy server is left in peace at its word.
LONGEST_PAUSE = 5.0


def now():
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Answer(NamedTuple):
    """Whether to show an offer, why, and who said so: `server`, `cache` or `nobody`."""

    show: bool
    why: str
    source: str


class Kept(NamedTuple):
    """An answer that still holds, and when its question was sent."""

    sent: float
    until: float
    answer: Answer


class Offers:
    """A client that many threads share: one channel, whose connections are shared by all calls."""

    def __init__(self, target, authority, stubs, service_config, credentials=None):
        # Retries, balancing and the watching of health are in the service config, for every language.
        options = [*CHANNEL, ("grpc.service_config", service_config)]
        if authority:
            options.append(("grpc.default_authority", authority))
        if credentials is None:
            channel = grpc.insecure_channel(target, options)
        else:
            channel = grpc.secure_channel(target, credentials, options)
        self._stub = stubs.service.EligibilityServiceStub(channel)
        self._stubs = stubs
        self._lock = threading.Lock()
        self._kept: dict[bytes, Kept] = {}
        self._pause_until = 0.0

    def may_show(self, offer, customer, token=""):
        """Whether this customer may be shown this offer now.

        With the token of a change, the answer is from rules that have it, and never one that was kept.
        """
        request = self._stubs.eligibility.CheckEligibilityRequest(
            customer=customer, offer=offer, action=self._stubs.request.ACTION_OFFER, channel="WEB",
        )
        # All that was said about the customer is the key: who moves house is another question.
        key = request.SerializeToString(deterministic=True)
        if token:
            request.consistency.at_least_token = token
        else:
            with self._lock:
                kept = self._kept.get(key)
            # The clock is read after the entry: an answer is never used past its end.
            if kept and now() < kept.until:
                return kept.answer._replace(source="cache")
        if now() < self._pause_until:
            return self._told(offer, Answer(False, "RESOURCE_EXHAUSTED", "nobody"))
        # Before the call: however long it takes, and whatever this machine's clock shows, the answer
        # is not kept for longer than the server meant.
        sent = now()
        try:
            decision = self._stub.CheckEligibility(request, timeout=DEADLINE).decision
        except grpc.RpcError as error:
            self._note_pause(error)
            return self._told(offer, Answer(False, error.code().name, "nobody"))
        return self._told(offer, self._read(key, sent, decision), decision)

    def _read(self, key, sent, decision):
        outcome = self._stubs.decision.Outcome.Name(decision.outcome).removeprefix("OUTCOME_")
        code = self._stubs.decision.ReasonCode
        reasons = [code.Name(reason.code).removeprefix("REASON_CODE_") for reason in decision.reasons]
        answer = Answer(outcome == "ELIGIBLE", " ".join([outcome, *reasons]), "server")
        holds = decision.valid_until.ToNanoseconds() - decision.as_of.ToNanoseconds()
        with self._lock:
            there = self._kept.get(key)
            if there and sent < there.sent:
                return answer  # Another thread asked later, and has its answer already.
            self._kept.pop(key, None)
            # "Cannot tell" is not kept: the next page may be able to.
            if outcome in ("ELIGIBLE", "INELIGIBLE"):
                if MOST_KEPT <= len(self._kept):
                    self._kept.clear()
                self._kept[key] = Kept(sent, sent + holds / 1e9, answer)
        return answer

    def _note_pause(self, error):
        """A server that has too much to do says when to come back; until then it is not asked."""
        if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            return
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                pause = info.retry_delay.ToNanoseconds() / 1e9
                self._pause_until = now() + min(pause, LONGEST_PAUSE)

    def _told(self, offer, answer, decision=None):
        # The decision's id leads to everything about it, the customer included, for those who may see it.
        about = f" decision={decision.decision_id} revision={decision.revision}" if decision else ""
        LOG.info("offer=%s show=%s why=%s%s", offer, answer.show, answer.why.replace(" ", ","), about)
        return answer
