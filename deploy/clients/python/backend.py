#!/usr/bin/env python3
"""A small online-banking backend: shows an offer to a customer only where Offergate says ELIGIBLE.

    backend.py --server ADDRESS[,ADDRESS...] [--listen HOST:PORT] [--protos FOLDER]
               [--ca-file FILE --certificate-file FILE --key-file FILE]

    GET /offers/ID?customer=ID    {"offer": ..., "show": true or false, "why": ..., "source": ...}

An address is `HOST:PORT`, or what grpc resolves, such as `dns:///offergate.example:7443`. The header
`Offergate-Token` of a request asks for rules that are at least as new as that token.

It answers 200 whatever happens to Offergate: a page without an offer is a page, an error is none.
"""

import argparse
import json
import logging
import pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import grpc

import offers
import stubs

HERE = pathlib.Path(__file__).resolve().parent


def customers(generated):
    """What the bank knows about its customers. A backend of yours asks its own database, for each call."""
    request = generated.request

    def customer(name, **known):
        holding = request.Holding(status=request.HOLDING_STATUS_NONE)
        made = request.Customer(id=name, date_of_birth="1985-04-12", holding=holding, **known)
        made.attributes["online_banking"].bool_value = True
        return made

    listed = [
        customer("cust-london", country="GB"),
        customer("cust-dublin", country="IE"),
        # Where this one lives is not known; nothing is made up.
        customer("cust-nowhere"),
    ]
    return {one.id: one for one in listed}


class Page(BaseHTTPRequestHandler):
    """One request of a browser."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        folder, _, offer = url.path.rpartition("/")
        name = parse_qs(url.query).get("customer", [""])[0]
        customer = self.server.customers.get(name)
        if folder != "/offers" or not offer or customer is None:
            self.answer(404, {"error": "no such page"})
            return
        offer = unquote(offer)
        told = self.server.offers.may_show(offer, customer, self.headers.get("Offergate-Token", ""))
        self.answer(200, {"offer": offer, **told._asdict()})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        # No proxy and no browser keeps it: only this process knows until when it holds.
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: the usual line holds the URL, and with it who the customer is."""


def credentials(arguments):
    if arguments.ca_file is None:
        return None
    certificate = (arguments.key_file, arguments.certificate_file)
    key, chain = (pathlib.Path(path).read_bytes() if path else None for path in certificate)
    return grpc.ssl_channel_credentials(pathlib.Path(arguments.ca_file).read_bytes(), key, chain)


def target(addresses):
    """Several numeric addresses become one target, over which calls go round; and what to call it.

    By itself grpc would call it by the whole list, which is no name of a host and is refused.
    """
    first, several, _ = addresses.partition(",")
    return (f"ipv4:{addresses}", first) if several else (addresses, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--protos", default=HERE.parents[2] / "proto", type=pathlib.Path)
    for name in ("--ca-file", "--certificate-file", "--key-file"):
        parser.add_argument(name)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    generated = stubs.generate(arguments.protos)
    service_config = (HERE.parent / "service_config.json").read_text()
    host, _, port = arguments.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Page)
    server.daemon_threads = True
    server.customers = customers(generated)
    server.offers = offers.Offers(
        *target(arguments.server), generated, service_config, credentials(arguments)
    )
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
