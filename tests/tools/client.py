#!/usr/bin/env python3
"""Talks to a running server as a bank's backend would: with a client generated from the protos.

    client.py SERVER_ADDRESS PROTO_FOLDER

Generates the client into a temporary folder, asks what a user would ask first, changes the rules,
and prints one line for each thing that held. Ends with a traceback at the first that does not.
"""

import importlib
import pathlib
import sys
import tempfile

import grpc
from grpc_tools import protoc


def generate(protos: pathlib.Path, out: str) -> None:
    files = sorted(str(path) for path in protos.rglob("*.proto"))
    well_known = str(pathlib.Path(protoc.__file__).parent / "_proto")
    arguments = [
        "protoc", f"-I{protos}", f"-I{well_known}", f"--python_out={out}",
        f"--grpc_python_out={out}", *files,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("the protos do not compile")
    sys.path.insert(0, out)


def held(fact: str, is_so: bool) -> None:
    if not is_so:
        raise AssertionError(fact)
    print(f"ok: {fact}")


def main() -> None:
    address, protos = sys.argv[1], pathlib.Path(sys.argv[2])
    generate(protos, tempfile.mkdtemp())
    load = importlib.import_module
    pb = load("offergate.v1.eligibility_pb2")
    stub = load("offergate.v1.eligibility_pb2_grpc").EligibilityServiceStub
    request_pb = load("offergate.v1.request_pb2")
    decision_pb = load("offergate.v1.decision_pb2")
    suspension_pb = load("offergate.v1.suspension_pb2")
    suspension_stub = load("offergate.v1.suspension_pb2_grpc").SuspensionServiceStub
    rules_pb = load("offergate.v1.rules_pb2")
    rules_stub = load("offergate.v1.rules_pb2_grpc").RuleServiceStub

    def check(customer_id: str, action: int, status: int, offer: str = "kis-12m"):
        customer = request_pb.Customer(
            id=customer_id, country="GB", segment="RETAIL", date_of_birth="1985-04-12",
            holding=request_pb.Holding(status=status),
        )
        customer.attributes["online_banking"].bool_value = True
        return pb.CheckEligibilityRequest(
            customer=customer, offer=offer, action=action, channel="WEB"
        )

    offer, use = request_pb.ACTION_OFFER, request_pb.ACTION_USE
    none, active = request_pb.HOLDING_STATUS_NONE, request_pb.HOLDING_STATUS_ACTIVE
    eligible, ineligible = decision_pb.OUTCOME_ELIGIBLE, decision_pb.OUTCOME_INELIGIBLE

    with grpc.insecure_channel(address) as channel:
        eligibility = stub(channel)
        answer = eligibility.CheckEligibility(check("c-1", offer, none), timeout=5).decision
        held("a new customer is INELIGIBLE", answer.outcome == ineligible)
        notice = answer.suspensions[0]
        held("the answer names the advisory", notice.advisories[0].issuer == "NCSC")
        answer = eligibility.CheckEligibility(check("c-2", use, active), timeout=5).decision
        held("a holder is ELIGIBLE", answer.outcome == eligible)

        batch = [check("c-1", offer, none), check("", offer, none), check("c-2", use, active)]
        results = eligibility.BatchCheckEligibility(
            pb.BatchCheckEligibilityRequest(requests=batch), timeout=5
        ).results
        kinds = [result.WhichOneof("result") for result in results]
        held("a bad item of a batch fails alone", kinds == ["decision", "error", "decision"])

        stream = (
            pb.StreamEligibilityRequest(
                correlation_id=str(number), request=check(f"c-{number}", use, active)
            )
            for number in range(100)
        )
        answers = list(eligibility.StreamEligibility(stream, timeout=10))
        names = [answer.correlation_id for answer in answers]
        held("a stream answers in order", names == [str(number) for number in range(100)])

        try:
            eligibility.CheckEligibility(check("", offer, none), timeout=5)
            raise AssertionError("an empty customer id was accepted")
        except grpc.RpcError as error:
            held("no customer id is INVALID_ARGUMENT",
                 error.code() == grpc.StatusCode.INVALID_ARGUMENT)

        suspensions = suspension_stub(channel)
        suspension = suspension_pb.Suspension(
            id="from-python", target=suspension_pb.Target(offer="avast-12m"),
            scope=suspension_pb.Scope(actions=[offer]), ticket="CHG-7", reason="Tried for real",
        )
        created = suspensions.CreateSuspension(
            suspension_pb.CreateSuspensionRequest(
                suspension=suspension, request_id="python-1", author="python"
            ),
            timeout=10,
        )
        asked = check("c-3", offer, none, "avast-12m")
        answer = eligibility.CheckEligibility(asked, timeout=5).decision
        held("what is only proposed is not in force", answer.outcome == eligible)
        approved = suspensions.ApproveChange(
            suspension_pb.ApproveChangeRequest(
                id=created.proposal.id, digest=created.proposal.digest,
                request_id="python-2", author="another",
            ),
            timeout=10,
        )
        token = approved.revision.token
        asked.consistency.at_least_token = token
        answer = eligibility.CheckEligibility(asked, timeout=5).decision
        held("a suspension holds for the next check", answer.outcome == ineligible)

        watch = rules_stub(channel).WatchRevisions(
            rules_pb.WatchRevisionsRequest(after_revision=0), timeout=10
        )
        numbers = [next(watch).revision.number for _ in range(approved.revision.number)]
        held("revisions come without a gap", numbers == list(range(1, len(numbers) + 1)))
        watch.cancel()


main()
